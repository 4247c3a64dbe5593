/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong with disks. */
#ifndef TESTS_SIM_POOLFAULTS_H
#define TESTS_SIM_POOLFAULTS_H

#include "poolworld.h"

/* Something happens to a weak disk, now or at one of its next calls. */
void faults_strike(struct world *w);
/* While nothing is open: weak disks go and come back, the index goes. */
void faults_between(struct world *w);
void faults_bring_back(struct world *w);
/* The power comes back; what was not synced has its fate. */
void faults_restart(struct world *w);

#endif
