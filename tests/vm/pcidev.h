/* SPDX-License-Identifier: MIT */
/* pcidev.h - the NPU as a PCI device, in sysfs. For root. */
#ifndef FNPU_TESTS_PCIDEV_H
#define FNPU_TESTS_PCIDEV_H

#include <stdbool.h>
#include <stddef.h>

/* To be called first; false: there is none. */
bool pci_find(void);

/* A file in its folder; 0 or -errno. */
int pci_write(const char *file, const char *text);
int pci_read(const char *file, char *text, size_t size);

void pci_remove(void);
void pci_bring_back(void);

void pci_rebind(void);

/* Waits until udev has made the device's nodes. */
void udev_settle(void);

/* Unloads the module; 0 or -errno. */
int module_unload(void);
void module_load(void);

/* A new client runs a job. */
void works_again(void);

#endif
