/* kernels/threads.h by itself, for the sanitizers; see sanitize.py.

   Several threads hand out jobs at the same time, as Python's do where they run without the interpreter's
   lock: one of them gets the workers, the others do their jobs alone. Each job is of another number of parts,
   with some barriers, after each of which every part reads what the others wrote. Meanwhile the process forks
   again and again, and the child does jobs of its own. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "threads.h"

#define GIVERS 3
#define FORKS 20

static void check(int right, const char *what) {
  if (!right) {
    fprintf(stderr, "threads: %s\n", what);
    abort();
  }
}

typedef struct {
  int barriers, parts, seen[MAX_THREADS], done[MAX_THREADS];
} Job;

static void do_part(void *context, int part, int parts) {
  Job *job = context;
  unsigned barriers = 0;
  if (part == 0)
    job->parts = parts;
  for (int round = 1; round <= job->barriers; round++) {
    job->seen[part] = round; /* plain memory: the barriers order it */
    wait_for_others(parts, barriers++);
    for (int other = 0; other < parts; other++)
      check(job->seen[other] == round, "a barrier let a part through before all had come");
    wait_for_others(parts, barriers++);
  }
  job->done[part]++;
}

static unsigned next(unsigned *state) { /* xorshift: rand() has a lock, which would order the threads */
  *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
  return *state;
}

static long do_jobs(int jobs, unsigned seed) {
  long shared = 0;
  for (int i = 0; i < jobs; i++) {
    int parts = 1 + (int)(next(&seed) % 6);
    Job job = {.barriers = (int)(next(&seed) % 4)};
    run_parts(do_part, &job, parts);
    check(0 < job.parts && job.parts <= parts, "a job of more parts than was asked for");
    for (int part = 0; part < MAX_THREADS; part++)
      check(job.done[part] == (part < job.parts), "a part was not done once");
    shared += job.parts > 1;
    if (next(&seed) % 64 == 0)
      usleep(next(&seed) % 500); /* long enough for the workers to fall asleep */
  }
  return shared;
}

/* The address sanitizer has locks of its own, which a thread takes while it starts and ends. A fork at such a
   moment leaves them locked in the child, whose first worker then waits for ever: gcc's library does not see to
   that. So under it all threads have started before the first fork, and end after the last. */
#ifdef __SANITIZE_ADDRESS__
#define NONE_STARTS_WHILE_FORKING 1
#else
#define NONE_STARTS_WHILE_FORKING 0
#endif

static int jobs_of_each, started, forks_are_over;

static void *giver(void *number) {
  __atomic_fetch_add(&started, 1, __ATOMIC_ACQ_REL);
  long shared = do_jobs(jobs_of_each, 1 + (unsigned)(size_t)number);
  while (NONE_STARTS_WHILE_FORKING && !__atomic_load_n(&forks_are_over, __ATOMIC_ACQUIRE))
    usleep(100);
  return (void *)shared;
}

/* The thread sanitizer can't do with a thread in the child that has the address of one in the parent, which
   the C library would give it; a larger stack lies elsewhere. */
static void begin_threads_elsewhere(void) {
  pthread_attr_t attributes;
  size_t size;
  check(!pthread_getattr_default_np(&attributes) && !pthread_attr_getstacksize(&attributes, &size) &&
        !pthread_attr_setstacksize(&attributes, size + (1 << 20)) && !pthread_setattr_default_np(&attributes),
        "no larger stack");
}

static int cores(void) {
  cpu_set_t set;
  check(!sched_getaffinity(0, sizeof set, &set), "no affinity");
  return CPU_COUNT(&set);
}

static void fork_and_work(unsigned seed) {
  pid_t child = fork();
  check(child >= 0, "fork failed");
  if (child == 0) {
    begin_threads_elsewhere();
    _exit(do_jobs(20, seed) > 0 || cores() < 2 ? 0 : 1); /* nobody else takes the child's workers */
  }
  int status;
  check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
        "a child of a fork did not do its jobs");
}

int main(int count, char **words) {
  pthread_t givers[GIVERS];
  long shared = 0;
  void *result;
  jobs_of_each = count > 1 ? atoi(words[1]) : 2000;
  alarm(300); /* a lost wake-up shows as a standstill */
  if (NONE_STARTS_WHILE_FORKING)
    shared += do_jobs(200, 99); /* now there are as many workers as there will be */
  for (int i = 0; i < GIVERS; i++)
    check(!pthread_create(&givers[i], NULL, giver, (void *)(size_t)i), "no thread");
  while (NONE_STARTS_WHILE_FORKING && __atomic_load_n(&started, __ATOMIC_ACQUIRE) < GIVERS)
    usleep(100);
  for (int i = 0; i < FORKS; i++) {
    fork_and_work(100 + (unsigned)i);
    usleep(1000);
  }
  __atomic_store_n(&forks_are_over, 1, __ATOMIC_RELEASE);
  for (int i = 0; i < GIVERS; i++) {
    pthread_join(givers[i], &result);
    shared += (long)result;
  }
  for (int i = 0; i < FORKS; i++) /* with the workers at rest */
    fork_and_work(200 + (unsigned)i);
  long usual = 1000, work = work_for_threads(usual);
  check(work >= usual && work <= 10 * usual && work == work_for_threads(usual), "threads are measured once");
  for (int i = 0; i < 5000; i++) { /* again where they were found slow, and then the least time counts */
    long again = work_for_threads(usual);
    check(usual <= again && again <= work, "a later measurement is for less work, never for more");
    work = again;
  }
  printf("threads: %d jobs, %ld of them shared, %d forks\n", GIVERS * jobs_of_each + 200 * NONE_STARTS_WHILE_FORKING,
         shared, 2 * FORKS);
  check(shared > 0 || cores() < 2, "no job was ever shared");
  return 0;
}
