/* sim_handle.h: how a simulated directory's handle looks as a descriptor's number. */
#ifndef SIM_HANDLE_H
#define SIM_HANDLE_H

enum { SIM_HANDLE = 1000000 }; /* + the node; real descriptors are smaller */

#endif
