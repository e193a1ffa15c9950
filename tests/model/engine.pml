/* SPDX-License-Identifier: MIT */
/*
 * The protocol between driver and NPU, for the model checker spin.
 *
 * Two processes share what host memory and registers are between the two in reality:
 *
 *	driver	kernel/fluidnpu_queue.c and fluidnpu_sched.c. Everything they do is under one
 *		lock (hw_lock), so one process that chooses what it does next is as general
 *		as threads and interrupts are.
 *	device	qemu-device/core: engine.c, batch.c, job.c, queue.c, without arithmetic and
 *		without time: a group ends at some point after it has started.
 *
 * A register access is a rendezvous, and the driver waits until the device has done what
 * follows from it. Memory is not: the device writes completions while the driver reads them,
 * word by word as far as that matters (the phase of an entry after the rest of it).
 *
 * JOBS jobs with one or two samples are submitted, on two queues: RUN, INJECT or YIELD, at layer
 * 0 or 1, in all combinations; every sample may leave at the first exit or the last (as one does
 * whose job is to stop there), any group may fail (FAULTS times), the driver may lose its
 * patience at any moment (TIMEOUTS times). A sample is a bit: bit j * MAXB + i is sample i of job j, a batch is a set of bits.
 *
 * What must hold:
 *	- a batch has 1..MAXB samples, and a sample is in one batch at most
 *	- the device writes no completion over one that the driver has not taken
 *	- no completion is of a job that the device does not have
 *	- a run of a job tells of each sample once; user space hears of each sample once
 *	- user space hears of each job's end once, and if it was a good one, of all samples before
 *	- as long as there are jobs, somebody can do something (no deadlock, spin's own check);
 *	  and no part of the model can go in circles, so every job ends (spin -l)
 *
 * With the number of a BUG_ as BUG, the model is wrong in the place that asks for it;
 * tests/e2e/model.sh shows that spin finds each.
 */
#define NJ 3		/* jobs of user space, at most */
#define NQ 2		/* queues; the index is the priority */
#define MAXB 2		/* largest batch */
#define NL 2		/* groups: one with the first exit, one with the last */
#define RING (NJ + 1)	/* entries of a submission ring */
#define CQ 5		/* entries of the completion ring: what one step can need, and one */
#define NONE 7

/* Flaws to put in. */
#define BUG_NO_CAP 1		/* merge without looking at the largest batch */
#define BUG_LOSE_REST 2		/* what does not fit in a merge is forgotten */
#define BUG_NO_ROOM_FOR_JOBS 3	/* a group reserves completions of its samples only */
#define BUG_PHASE_FIRST 4	/* of a completion */
#define BUG_YIELD_KEEPS 5	/* samples handed back stay in their batch */
#define BUG_NO_KICK 6		/* completions are taken, the device does not look */
#define BUG_DISABLE_RUNS_ON 7	/* a disabled queue keeps what it had in flight */
#define BUG_NO_RESUME 8		/* the driver leaves a halted queue alone */
#define BUG_NO_DEDUP 9		/* the driver forwards what it has forwarded before a replay */
#define BUG_NO_DRAIN 10		/* the driver does not look at the ring once more after DISABLE */
#define BUG_ACK_FIRST 11	/* the driver gives two entries back, then reads them */
#define BUG_REPLAY_GUILTY 12	/* the driver ends the job that it stopped, and runs it again */
#define BUG_FAIL_TOP_ONLY 13	/* a failed job's samples in other batches stay */

/*
 * What a run of the verifier is about comes from its environment, so that it is compiled once:
 * JOBS, CREDITS (those of a queue that the driver gives to the device at a time), DEPTH (of the
 * stack, 1 or 2), FAULTS, TIMEOUTS, and BUG.
 */
c_decl {
	\#include <stdlib.h>
	static int setting(const char *name)
	{
		const char *value = getenv(name);

		return value ? atoi(value) : 0;
	}
	static int setting_jobs, setting_credits, setting_depth;
	static int setting_faults, setting_timeouts, setting_bug;
};

#define BUGGY(b) c_expr { setting_bug == BUG_##b }
#define JOBS c_expr { setting_jobs }
#define CREDITS c_expr { setting_credits }
#define DEPTH c_expr { setting_depth }
#define FAULTS c_expr { setting_faults }
#define TIMEOUTS c_expr { setting_timeouts }
#define MAX_DEPTH 2

#define SAMPLES(j) (3 << ((j) * MAXB))
#define BIT(m, i) (((m) >> (i)) & 1)
#define COUNT(m) (BIT(m, 0) + BIT(m, 1) + BIT(m, 2) + BIT(m, 3) + BIT(m, 4) + BIT(m, 5) + \
		  BIT(m, 6) + BIT(m, 7))

mtype = { RUN, INJECT, YIELD };				/* entries */
mtype = { EXIT, BACK, END, FAILED };			/* completions; BACK: CQE_YIELD */
mtype = { DOORBELL, TAKEN, DISABLE, ENABLE, RESUME, STATUS };	/* registers */

/* --- host memory and registers ------------------------------------------------------- */

typedef entry_t { byte job; byte serial; byte target; byte target_serial };
typedef ring_t { entry_t e[RING] };
ring_t sq[NQ];

typedef completion_t { mtype type; byte job; byte serial; byte sample; bit phase };
completion_t cq[CQ];

/*
 * Each process does atomically what the other cannot see the steps of; anything may come
 * between where it says otherwise.
 */
chan step = [0] of { bit };

inline others_may_run()
{
	step!0
}

active proctype interleave()
{
end:	do
	:: step?_
	od
}

chan reg = [0] of { mtype, byte, byte };
chan reg_done = [0] of { byte };

/* What the jobs are: chosen when they are submitted, the same for every run of them. */
typedef job_t { mtype op; byte queue; byte samples; byte start; byte target };
job_t job[NJ];

/* --- the device ------------------------------------------------------------------------ */

typedef batch_t { byte samples; byte layer };
typedef queue_t { bool on; bool halted; byte head; byte tail; byte num; batch_t b[MAX_DEPTH + 1] };
#define ROOM ((cq_head + CQ - cq_tail - 1) % CQ)
#define TOP(x) q[x].b[q[x].num - 1]
#define BELOW(x) q[x].b[q[x].num - 2]
#define HEAD(x) sq[x].e[q[x].head]
#define WORK(x) (q[x].on && !q[x].halted && (q[x].num || q[x].head != q[x].tail))
#define JOBS_OF(m) ((((m) & SAMPLES(0)) > 0) + (((m) & SAMPLES(1)) > 0) + \
		    (((m) & SAMPLES(2)) > 0) + (((m) & SAMPLES(3)) > 0))

/* fnpu_cq_post() */
inline post(t, j, ser, s)
{
	assert(ROOM > 0);	/* the driver has not taken what is there */
	if
	:: BUGGY(PHASE_FIRST) -> cq[cq_tail].phase = cq_phase; others_may_run()
	:: else
	fi;
	d_step {
		cq[cq_tail].type = t;
		cq[cq_tail].job = j;
		cq[cq_tail].serial = ser;
		cq[cq_tail].sample = s
	};
	others_may_run();
	d_step {
		cq[cq_tail].phase = cq_phase;
		cq_tail = (cq_tail + 1) % CQ;
		if
		:: cq_tail == 0 -> cq_phase = 1 - cq_phase
		:: else
		fi
	};
	others_may_run()
}

/* merge(): as many of the top's samples as fit join the batch below, the lowest first. */
inline merge(x)
{
	d_i = 0;
	do
	:: d_i < NJ * MAXB ->
		if
		:: BIT(TOP(x).samples, d_i) &&
		   (COUNT(BELOW(x).samples) < MAXB || BUGGY(NO_CAP)) ->
			BELOW(x).samples = BELOW(x).samples | (1 << d_i);
			TOP(x).samples = TOP(x).samples & ~(1 << d_i)
		:: else
		fi;
		d_i++
	:: else -> break
	od;
	if
	:: TOP(x).samples == 0 || BUGGY(LOSE_REST) ->
		TOP(x).samples = 0;
		TOP(x).layer = 0;
		q[x].num--
	:: else ->
		d_i = TOP(x).samples;
		TOP(x).samples = BELOW(x).samples;
		BELOW(x).samples = d_i
	fi;
	d_i = 0
}

/* pop_empty() and catch_up(): the latter if the top has moved or is another one now */
inline tidy(x, moved)
{
	d_again = q[x].num > 0 && (moved || TOP(x).samples == 0);
	d_i = 0;
	do
	:: d_i + 1 < q[x].num && q[x].b[d_i].samples == 0 ->	/* an empty one under another */
		d_s = d_i;
		do
		:: d_s + 1 < q[x].num ->
			q[x].b[d_s].samples = q[x].b[d_s + 1].samples;
			q[x].b[d_s].layer = q[x].b[d_s + 1].layer;
			d_s++
		:: else -> break
		od;
		q[x].b[d_s].samples = 0;
		q[x].b[d_s].layer = 0;
		q[x].num--
	:: d_i + 1 < q[x].num && q[x].b[d_i].samples != 0 -> d_i++
	:: d_i + 1 >= q[x].num -> break
	od;
	do
	:: q[x].num > 0 && TOP(x).samples == 0 -> TOP(x).layer = 0; q[x].num--
	:: else -> break
	od;
	d_s = 0;
	d_again = d_again && q[x].num > 1;
	do
	:: d_again ->
		d_s = q[x].num;
		if
		:: TOP(x).layer == BELOW(x).layer -> merge(x)
		:: else
		fi;
		d_again = q[x].num < d_s && q[x].num > 1
	:: else -> break
	od;
	d_s = 0;
	d_i = 0;
	d_again = false
}

/* What batch.c says of the stack is true. */
inline check_stack(x)
{
	assert(q[x].num <= DEPTH + 1);
	d_i = 0;
	d_set = 0;
	do
	:: d_i < q[x].num ->
		assert(COUNT(q[x].b[d_i].samples) >= 1 && COUNT(q[x].b[d_i].samples) <= MAXB);
		assert((d_set & q[x].b[d_i].samples) == 0);
		d_set = d_set | q[x].b[d_i].samples;
		d_i++
	:: else -> break
	od;
	d_i = 0;
	d_set = 0
}

/* d_set becomes the samples of job @j that are in flight. */
inline find_samples(x, j)
{
	d_i = 0;
	d_set = 0;
	do
	:: d_i < q[x].num -> d_set = d_set | (q[x].b[d_i].samples & SAMPLES(j)); d_i++
	:: else -> break
	od;
	d_i = 0
}

/* remove_job() from the batches d_i and above: without tidying up */
inline forget(x, j)
{
	do
	:: d_i < q[x].num -> q[x].b[d_i].samples = q[x].b[d_i].samples & ~SAMPLES(j); d_i++
	:: else -> break
	od;
	d_i = 0
}

inline pop(x)
{
	q[x].head = (q[x].head + 1) % RING
}

/* admit() and fnpu_batch_push(); d_j is the job */
inline admit(x)
{
	d_step {
		d_j = HEAD(x).job;
		in_flight[d_j] = HEAD(x).serial;
		pop(x);
		if
		:: q[x].num && TOP(x).layer == job[d_j].start &&
		   COUNT(TOP(x).samples) + COUNT(job[d_j].samples) <= MAXB ->
			TOP(x).samples = TOP(x).samples | job[d_j].samples
		:: else ->
			q[x].num++;
			TOP(x).samples = job[d_j].samples;
			TOP(x).layer = job[d_j].start;
			if
			:: q[x].num > 1 && TOP(x).layer == BELOW(x).layer -> merge(x)
			:: else
			fi
		fi;
		d_j = 0
	}
}

/* inject_fits() */
#define FITS(x, j) (job[j].start <= TOP(x).layer && \
		    (q[x].num - 1 < DEPTH || (job[j].start == TOP(x).layer && \
		     COUNT(TOP(x).samples) + COUNT(job[j].samples) <= MAXB)))

/* take_yield() and yield_job() */
inline take_yield(x)
{
	d_j = HEAD(x).target;
	if
	:: in_flight[d_j] && in_flight[d_j] == HEAD(x).target_serial ->
		d_step { find_samples(x, d_j); d_s = 0 };
		do
		:: d_s < MAXB ->
			if
			:: BIT(d_set, d_j * MAXB + d_s) -> post(BACK, d_j, in_flight[d_j], d_s)
			:: else
			fi;
			d_s++
		:: else -> break
		od;
		post(END, d_j, in_flight[d_j], 0);
		d_step {
			in_flight[d_j] = 0;
			d_set = 0;
			d_s = 0;
			if
			:: !BUGGY(YIELD_KEEPS) -> forget(x, d_j)
			:: else
			fi;
			tidy(x, false);
			check_stack(x)
		}
	:: else
	fi;
	d_j = HEAD(x).job;
	d_i = HEAD(x).serial;
	d_step { pop(x); };
	post(END, d_j, d_i, 0);
	d_j = 0;
	d_i = 0
}

/* fnpu_batch_fail() */
inline fail(x)
{
	d_set = TOP(x).samples;
	d_j = 0;
	do
	:: d_j < NJ ->
		if
		:: d_set & SAMPLES(d_j) ->
			post(FAILED, d_j, in_flight[d_j], 0);
			d_step {
				in_flight[d_j] = 0;
				d_i = (BUGGY(FAIL_TOP_ONLY) -> q[x].num - 1 : 0);
				forget(x, d_j)
			}
		:: else
		fi;
		d_j++
	:: else -> break
	od;
	d_j = 0;
	d_step {
		q[x].halted = true;
		tidy(x, false);
		check_stack(x)
	}
}

/* fnpu_batch_advance() and take_exits(): the driver may see each completion as it comes. */
inline advance(x)
{
	TOP(x).layer++;
	d_set = TOP(x).samples;
	d_s = 0;
	do
	:: d_s < NJ * MAXB ->
		if
		:: BIT(d_set, d_s) ->
			if
			:: TOP(x).layer < NL -> skip	/* it is not sure enough */
			:: true ->
				post(EXIT, d_s / MAXB, in_flight[d_s / MAXB], d_s % MAXB);
				TOP(x).samples = TOP(x).samples & ~(1 << d_s);
				d_jobs = d_jobs | (1 << (d_s / MAXB))
			fi
		:: else
		fi;
		d_s++
	:: else -> break
	od;
	d_s = 0;
	d_j = 0;
	do
	:: d_j < NJ ->
		d_step { find_samples(x, d_j) };
		if
		:: BIT(d_jobs, d_j) && d_set == 0 ->
			post(END, d_j, in_flight[d_j], 0);
			in_flight[d_j] = 0
		:: else
		fi;
		d_j++
	:: else -> break
	od;
	d_j = 0;
	d_step {
		d_jobs = 0;
		d_set = 0;
		tidy(x, true);
		check_stack(x)
	}
}

/* fnpu_group_finish() */
inline finish()
{
	d_q = running;
	running = NONE;
	if
	:: faults < FAULTS -> faults++; fail(d_q)
	:: true -> advance(d_q)
	fi;
	d_q = 0
}

/*
 * take_yields(), pick_queue() and serve(): d_again tells that something was done and the
 * engine still stands at a boundary.
 */
inline schedule()
{
	do
	:: running != NONE -> break
	:: else ->
		d_q = 0;
		do
		:: d_q < NQ && WORK(d_q) && q[d_q].num && q[d_q].head != q[d_q].tail &&
		   job[HEAD(d_q).job].op == YIELD && ROOM >= MAXB + 2 ->
			take_yield(d_q)
		:: else ->
			d_q++;
			if
			:: d_q >= NQ -> break
			:: else
			fi
		od;
		d_q = (WORK(1) -> 1 : (WORK(0) -> 0 : NONE));
		if
		:: d_q == NONE -> break
		:: else
		fi;
		d_j = HEAD(d_q).job;
		if
		:: q[d_q].head != q[d_q].tail && ROOM >= MAXB + 2 && job[d_j].op == YIELD ->
			take_yield(d_q)
		:: q[d_q].head != q[d_q].tail && ROOM >= MAXB + 2 && job[d_j].op != YIELD &&
		   (!q[d_q].num || (job[d_j].op == INJECT && FITS(d_q, d_j))) ->
			admit(d_q);
			d_step { check_stack(d_q) }
		:: else ->
			if
			:: q[d_q].num && ROOM >= COUNT(TOP(d_q).samples) +
			   (BUGGY(NO_ROOM_FOR_JOBS) -> 0 : JOBS_OF(TOP(d_q).samples)) ->
				running = d_q
			:: else -> break
			fi
		fi
	od;
	d_q = 0;
	d_j = 0
}

/* fnpu_engine_drop() */
inline drop(x)
{
	d_step {
		if
		:: running == x -> running = NONE
		:: else
		fi;
		d_i = 0;
		do
		:: d_i < NJ ->
			if
			:: job[d_i].queue == x -> in_flight[d_i] = 0
			:: else
			fi;
			d_i++
		:: else -> break
		od;
		d_i = 0;
		do
		:: d_i < q[x].num && !BUGGY(DISABLE_RUNS_ON) ->
			q[x].b[d_i].samples = 0;
			q[x].b[d_i].layer = 0;
			d_i++
		:: else -> break
		od;
		d_i = 0;
		if
		:: !BUGGY(DISABLE_RUNS_ON) -> q[x].num = 0
		:: else
		fi;
		q[x].on = false;
		q[x].halted = false
	}
}

active proctype device()
{
	queue_t q[NQ];
	byte in_flight[NJ];		/* serial of the run, 0: not in flight */
	byte running = NONE;		/* queue whose group runs */
	byte cq_tail, cq_head;
	bit cq_phase = 1;
	byte faults;			/* that have happened */

	byte d_q, d_j, d_s, d_i;	/* of the inlines; 0 whenever the device waits */
	byte d_set;			/* samples that something happens to */
	byte d_jobs;			/* jobs likewise, a bit each */
	bool d_again;

	byte x, v;
	bool look = true;

end:	do
	:: atomic {
		if
		:: reg?DOORBELL(x, v) -> q[x].tail = v
		:: reg?TAKEN(x, v) -> cq_head = v; look = !BUGGY(NO_KICK)
		:: reg?RESUME(x, v) -> q[x].halted = false
		:: reg?STATUS(x, v) -> v = q[x].num > 0
		:: reg?DISABLE(x, v) -> drop(x)
		:: reg?ENABLE(x, v) ->
			q[x].on = true;
			q[x].head = 0;
			q[x].tail = 0
		:: running != NONE -> x = NONE; finish()
		fi;
		if
		:: look -> schedule()
		:: else
		fi;
		if
		:: x != NONE -> reg_done!v
		:: else
		fi;
		x = 0;
		v = 0;
		look = true
	   }
	od
}

/* --- the driver ------------------------------------------------------------------------- */

inline write(r, x, v)
{
	reg!r(x, v);
	reg_done?_;
	others_may_run()
}

/* fluidnpu_queue_push() */
inline push(j)
{
	d_step {
		p_x = job[j].queue;
		serial[j]++;
		told_now[j] = 0;
		in_slot[j] = true;
		slots[p_x]++;
		sq[p_x].e[tail[p_x]].job = j;
		sq[p_x].e[tail[p_x]].serial = serial[j];
		sq[p_x].e[tail[p_x]].target = job[j].target;
		sq[p_x].e[tail[p_x]].target_serial = serial[job[j].target];
		order[p_x * RING + tail[p_x]] = j + 1;
		tail[p_x] = (tail[p_x] + 1) % RING
	};
	write(DOORBELL, p_x, tail[p_x]);
	p_x = 0
}

/* What user space may ask for. */
inline choose(j)
{
	atomic {
		if
		:: job[j].queue = 0
		:: job[j].queue = 1
		fi;
		if
		:: job[j].op = RUN
		:: job[j].op = INJECT
		:: job[j].op = INJECT; job[j].start = 1
		:: j > 0 && job[j - 1].queue == job[j].queue && job[j - 1].op != YIELD ->
			job[j].op = YIELD;
			job[j].target = j - 1
		fi;
		if
		:: job[j].op != YIELD -> job[j].samples = 1 << (j * MAXB)
		:: job[j].op != YIELD -> job[j].samples = 3 << (j * MAXB)
		:: job[j].op == YIELD
		fi
	}
}

/* fluidnpu_job_end() and fluidnpu_queue_retire() */
inline end_job(j, good)
{
	assert(!ended[j]);
	assert(!(good) || told[j] == job[j].samples);
	ended[j] = true;
	if
	:: in_slot[j] -> slots[job[j].queue]--; in_slot[j] = false
	:: else
	fi
}

/* fluidnpu_handle_sample() and fluidnpu_handle_job() for the entry at taken */
inline handle()
{
	p_j = cq[taken].job;
	p_s = 1 << (p_j * MAXB + cq[taken].sample);
	assert(in_slot[p_j] && serial[p_j] == cq[taken].serial);
	if
	:: cq[taken].type == EXIT || cq[taken].type == BACK ->
		assert(job[p_j].samples & p_s);
		assert(!(told_now[p_j] & p_s));
		told_now[p_j] = told_now[p_j] | p_s;
		assert(!BUGGY(NO_DEDUP) || !(told[p_j] & p_s));	/* otherwise it is not told again */
		told[p_j] = told[p_j] | p_s
	:: cq[taken].type == END ->
		assert(told_now[p_j] == job[p_j].samples);
		end_job(p_j, true)
	:: cq[taken].type == FAILED ->
		end_job(p_j, false);
		halted = halted | (1 << job[p_j].queue)
	fi;
	p_j = 0;
	p_s = 0
}

/* fluidnpu_cq_drain() */
inline drain()
{
	if
	:: BUGGY(ACK_FIRST) && cq[taken].phase == phase &&
	   cq[(taken + 1) % CQ].phase == (taken + 1 == CQ -> 1 - phase : phase) ->
		write(TAKEN, 0, (taken + 2) % CQ)
	:: else
	fi;
	do
	:: cq[taken].phase == phase ->
		d_step {
			handle();
			taken = (taken + 1) % CQ;
			if
			:: taken == 0 -> phase = 1 - phase
			:: else
			fi
		}
	:: else -> break
	od;
	others_may_run()
}

/* fluidnpu_cq_ack() for the queues in @mask */
inline ack(mask)
{
	halted = halted & (mask);
	if
	:: taken != acked ->
		acked = taken;
		write(TAKEN, 0, taken);
		if
		:: BIT(halted, 0) && !BUGGY(NO_RESUME) -> write(RESUME, 0, 0)
		:: else
		fi;
		if
		:: BIT(halted, 1) && !BUGGY(NO_RESUME) -> write(RESUME, 1, 0)
		:: else
		fi
	:: else
	fi;
	halted = 0
}

/* fluidnpu_queue_take_all(): fills again[] */
inline take_all(x)
{
	d_step {
		p_i = 0;
		p_s = 0;
		do
		:: p_i < RING ->
			p_j = order[x * RING + p_i];
			order[x * RING + p_i] = 0;
			if
			:: p_j > 0 && in_slot[p_j - 1] ->
				again[p_s] = p_j;
				in_slot[p_j - 1] = false;
				slots[x]--;
				p_s++
			:: else
			fi;
			p_i++
		:: else -> break
		od;
		tail[x] = 0;
		p_i = 0;
		p_s = 0;
		p_j = 0
	}
}

/* fluidnpu_sched_recover() and fluidnpu_queue_restart(): the oldest job of @x took too long */
inline recover(x)
{
	drain();
	ack(3);
	if
	:: slots[x] > 0 ->
		write(DISABLE, x, 0);
		if
		:: !BUGGY(NO_DRAIN) -> drain()
		:: else
		fi;
		ack(3 & ~(1 << x));
		take_all(x);
		write(ENABLE, x, 0);
		if
		:: again[0] > 0 -> end_job(again[0] - 1, false)
		:: else
		fi;
		p_s = (BUGGY(REPLAY_GUILTY) -> 0 : 1);
		do
		:: p_s < RING && again[p_s] > 0 -> push(again[p_s] - 1); p_s++
		:: else -> break
		od;
		p_s = 0;
		d_step {
			do
			:: p_s < RING -> again[p_s] = 0; p_s++
			:: else -> break
			od;
			p_s = 0
		}
	:: else
	fi
}

active proctype driver()
{
	byte submitted;			/* jobs */
	byte serial[NJ];		/* of the job's present run, 0: it has not been pushed */
	bool in_slot[NJ];
	byte told[NJ];			/* samples that user space has heard of, as in job_t */
	byte told_now[NJ];		/* ... in the present run */
	bool ended[NJ];
	byte slots[NQ];			/* jobs of a queue in slots */
	byte order[NQ * RING];		/* what was pushed, in order: job + 1 */
	byte tail[NQ];
	byte taken, acked;		/* next entry of the completion ring */
	bit phase = 1;
	byte halted;			/* queues, a bit each */
	byte timeouts;			/* that have happened */
	byte again[RING];		/* jobs to run again, + 1 */
	byte p_j, p_s, p_i, p_x;	/* of the inlines */
	byte answer;

	c_code {
		setting_bug = setting("BUG");
		setting_jobs = setting("JOBS");
		setting_credits = setting("CREDITS");
		setting_depth = setting("DEPTH");
		setting_faults = setting("FAULTS");
		setting_timeouts = setting("TIMEOUTS");
	};
	write(ENABLE, 0, 0);
	write(ENABLE, 1, 0);
	do
	:: atomic { submitted < JOBS && slots[0] < CREDITS && slots[1] < CREDITS ->
		choose(submitted);
		push(submitted);
		submitted++ }
	:: atomic { cq[taken].phase == phase -> drain(); ack(3) }
	:: atomic { timeouts < TIMEOUTS && slots[0] > 0 -> timeouts++; recover(0) }
	:: atomic { timeouts < TIMEOUTS && slots[1] > 0 -> timeouts++; recover(1) }
	:: submitted == JOBS && slots[0] + slots[1] == 0 -> break
	od;
	/* the device has nothing left either */
	p_i = 0;
	d_step {
		do
		:: p_i < NJ -> assert(ended[p_i] || p_i >= JOBS); p_i++
		:: else -> break
		od
	};
	reg!STATUS(0, 0);
	reg_done?answer;
	assert(!answer);
	reg!STATUS(1, 0);
	reg_done?answer;
	assert(!answer)
}
