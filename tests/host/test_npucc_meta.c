// SPDX-License-Identifier: MIT
/*
 * npucc and the metadata of a model: thresholds for accuracy budgets, names of classes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "npucc_fixture.h"

static void build_with_budgets(struct fx *f, const char *budgets)
{
	fx_build_three_exits(f);
	om_meta(&f->m, "fluidnpu.exit.budgets", budgets);
}

static void expect_thresholds(const struct npucc_program *p, float first, float second)
{
	assert_float_equal(p->net->exits[0].threshold, first, 0);
	assert_float_equal(p->net->exits[1].threshold, second, 0);
	assert_float_equal(p->net->exits[2].threshold, 0, 0);
}

static cJSON *meta_of(const struct npucc_program *p)
{
	cJSON *meta = cJSON_Parse(p->meta);

	assert_non_null(meta);
	return meta;
}

/* --- accuracy budgets --------------------------------------------------------------- */

static void a_budget_chooses_its_thresholds_and_stands_in_meta(void **state)
{
	const double half = 0.5;
	struct fx *f = *state;
	struct npucc_program *p;
	cJSON *meta;

	build_with_budgets(f, "{\"0\":[0.97,0.9],\"0.50\":[0.89,0.63,0],\"1\":[0.8,0.5]}");
	f->options.accuracy_budget = &half;
	p = fx_compile(f);
	expect_thresholds(p, 0.89f, 0.63f);
	meta = meta_of(p);
	assert_true(cJSON_GetObjectItem(meta, "accuracy_budget")->valuedouble == 0.5);
	cJSON_Delete(meta);
}

static void without_a_budget_the_default_thresholds_hold(void **state)
{
	struct fx *f = *state;
	struct npucc_program *p;
	cJSON *meta;

	build_with_budgets(f, "{\"0\":[0.97,0.9]}");
	p = fx_compile(f);
	expect_thresholds(p, 0.8f, 0.6f);
	meta = meta_of(p);
	assert_null(cJSON_GetObjectItem(meta, "accuracy_budget"));
	cJSON_Delete(meta);
}

static void an_unknown_budget_is_an_error_that_lists_the_known_ones(void **state)
{
	const double seventh = 0.7;
	struct fx *f = *state;

	build_with_budgets(f, "{\"0\":[0.97,0.9],\"0.5\":[0.89,0.63],\"1\":[0.8,0.5]}");
	f->options.accuracy_budget = &seventh;
	fx_expect_error(f, "no thresholds for an accuracy budget of 0.7 percentage points; the model has them for 0, 0.5, 1");
}

static void a_budget_for_a_model_without_any_is_an_error(void **state)
{
	const double one = 1;
	struct fx *f = *state;

	fx_build_three_exits(f);
	f->options.accuracy_budget = &one;
	fx_expect_error(f, "the model has them for none");
}

static void budgets_that_are_not_sound_are_refused_even_if_none_is_chosen(void **state)
{
	static const struct { const char *budgets, *message; } cases[] = {
		{ "0.97,0.9", "is no JSON object" },
		{ "[0.97,0.9]", "is no JSON object" },
		{ "{\"0\":[0.97,0.9]} x", "is no JSON object" },
		{ "{\"0\":[0.97,0.9]", "is no JSON object" },
		{ "{\"low\":[0.97,0.9]}", "'low' is no percentage" },
		{ "{\"\":[0.97,0.9]}", "'' is no percentage" },
		{ "{\"-1\":[0.97,0.9]}", "'-1' is no percentage" },
		{ "{\"101\":[0.97,0.9]}", "'101' is no percentage" },
		{ "{\"nan\":[0.97,0.9]}", "'nan' is no percentage" },
		{ "{\"1 %\":[0.97,0.9]}", "'1 %' is no percentage" },
		{ "{\"1\":[0.97]}", "'1' is no array of 2 thresholds" },
		{ "{\"1\":[0.9,0.9,0.9,0]}", "'1' is no array of 2 thresholds" },
		{ "{\"1\":0.9}", "'1' is no array of 2 thresholds" },
		{ "{\"1\":{\"0\":0.9,\"1\":0.8}}", "'1' is no array of 2 thresholds" },
		{ "{\"1\":[0.97,\"0.9\"]}", "threshold 1 of '1' is no finite number" },
		{ "{\"1\":[-0.1,0.9]}", "threshold 0 of '1' is no finite number" },
		{ "{\"1\":[1e300,0.9]}", "threshold 0 of '1' is no finite number" },
		{ "{\"1\":[1e999,0.9]}", "threshold 0 of '1' is no finite number" },
		{ "{\"0.5\":[0.9,0.9],\"0.50\":[0.8,0.8]}", "has 0.5 twice" },
	};
	struct fx *f = *state;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build_with_budgets(f, cases[i].budgets);
		fx_expect_error(f, cases[i].message);
	}
}

/* --- labels ------------------------------------------------------------------------- */

static void expect_labels(struct fx *f, const char *first, const char *second)
{
	cJSON *meta = meta_of(fx_compile(f));
	const cJSON *labels = cJSON_GetObjectItem(meta, "labels");

	assert_int_equal(cJSON_GetArraySize(labels), 2);
	assert_string_equal(cJSON_GetArrayItem(labels, 0)->valuestring, first);
	assert_string_equal(cJSON_GetArrayItem(labels, 1)->valuestring, second);
	cJSON_Delete(meta);
}

static void labels_are_names_separated_by_commas(void **state)
{
	struct fx *f = *state;

	fx_build_good(f);
	om_meta(&f->m, "fluidnpu.labels", "Ankle boot,T-shirt/top");
	expect_labels(f, "Ankle boot", "T-shirt/top");
}

static void labels_with_commas_are_a_json_array(void **state)
{
	struct fx *f = *state;

	fx_build_good(f);
	om_meta(&f->m, "fluidnpu.labels", "[\"tench, Tinca tinca\", \"a \\\"bird\\\"\"]");
	expect_labels(f, "tench, Tinca tinca", "a \"bird\"");
}

static void labels_that_are_no_array_of_strings_are_refused(void **state)
{
	static const char *const bad[] = { "[\"a\",\"b\"", "[\"a\",1]", "[]", "[\"a\",\"b\"],c" };
	struct fx *f = *state;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fx_build_good(f);
		om_meta(&f->m, "fluidnpu.labels", bad[i]);
		fx_expect_error(f, "fluidnpu.labels starts with '[', but is no JSON array of strings");
	}
}

static void as_many_labels_as_classes(void **state)
{
	struct fx *f = *state;

	fx_build_good(f);
	om_meta(&f->m, "fluidnpu.labels", "[\"a\",\"b\",\"c\"]");
	fx_expect_error(f, "fluidnpu.labels has 3 names, exit 'out' has 2 classes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_budget_chooses_its_thresholds_and_stands_in_meta),
		TEST(without_a_budget_the_default_thresholds_hold),
		TEST(an_unknown_budget_is_an_error_that_lists_the_known_ones),
		TEST(a_budget_for_a_model_without_any_is_an_error),
		TEST(budgets_that_are_not_sound_are_refused_even_if_none_is_chosen),
		TEST(labels_are_names_separated_by_commas),
		TEST(labels_with_commas_are_a_json_array),
		TEST(labels_that_are_no_array_of_strings_are_refused),
		TEST(as_many_labels_as_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
