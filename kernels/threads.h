/* A few threads that wait for work: run_parts(f, context, parts) calls f(context, part, parts) for every
   part at once and returns when all are done; wait_for_others() is a barrier within f.

   OpenMP's runtimes do not survive a fork, and spin between regions as they were told at load. These
   threads sleep: a worker spins for a few microseconds after a job and then waits on a condition. After a
   fork the child begins without workers. Where there are no POSIX threads, parts is always one. */
#ifndef MINIDL_THREADS_H
#define MINIDL_THREADS_H

typedef void (*part_function)(void *context, int part, int parts);

#define MAX_THREADS 64 /* fewer than 128 */

#if defined(__GNUC__) && !defined(_WIN32)
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#ifdef __linux__
#include <unistd.h>
#endif

#define SPINS 2000         /* of a worker before it sleeps: some microseconds */
#define SPINS_TO_YIELD 200 /* at a barrier before another thread may have the core */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  int busy, workers, sleepers;
  int hooked;         /* whether a child of a fork forgets the workers */
  unsigned job;       /* the job that was handed out last: its number * 128 + its parts */
  int running;        /* its workers that are not done */
  unsigned arrived;   /* at its barriers, since it began */
  part_function function;
  void *context;
  pthread_t threads[MAX_THREADS]; /* the workers */
  int giver, cores, aside; /* the core that jobs come from, how many there are, workers that avoid it */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .giver = -1};

static inline void relax(int turn) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
  if (turn % SPINS_TO_YIELD == SPINS_TO_YIELD - 1)
    sched_yield();
}

static void *worker(void *number) {
  int part = (int)(size_t)number;
  unsigned seen = 0;
  for (;;) {
    for (int i = 0; i < SPINS && __atomic_load_n(&pool.job, __ATOMIC_ACQUIRE) == seen; i++)
      relax(0);
    if (__atomic_load_n(&pool.job, __ATOMIC_ACQUIRE) == seen) {
      pthread_mutex_lock(&pool.lock);
      pool.sleepers++;
      while (pool.job == seen)
        pthread_cond_wait(&pool.wake, &pool.lock);
      pool.sleepers--;
      pthread_mutex_unlock(&pool.lock);
    }
    seen = __atomic_load_n(&pool.job, __ATOMIC_ACQUIRE);
    if (part < (int)(seen % 128)) { /* otherwise the next job may be half written */
      pool.function(pool.context, part, seen % 128);
      __atomic_fetch_sub(&pool.running, 1, __ATOMIC_ACQ_REL);
    }
  }
  return NULL;
}

static void forget_workers(void) { /* in the child of a fork */
  pthread_mutex_init(&pool.lock, NULL);
  pthread_cond_init(&pool.wake, NULL);
  pool.busy = pool.workers = pool.sleepers = pool.running = 0;
  pool.job = 0, pool.giver = -1;
}

/* Runs when the library is loaded: a fork that began before the first job would not know of a later handler, and
   its child would wait for its parent's workers. */
__attribute__((constructor)) static void survive_forks(void) {
  pool.hooked = pthread_atfork(NULL, NULL, forget_workers) == 0;
}

static void hire(int workers) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are left to the main thread */
  while (pool.workers < workers &&
         pthread_create(&pool.threads[pool.workers], NULL, worker, (void *)(size_t)(pool.workers + 1)) == 0)
    pthread_detach(pool.threads[pool.workers++]);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* How many parts can run at once: one a core. A worker that woke on the core of the thread which waits for
   it would not run before the next tick of the clock, a dozen steps later; so workers avoid that core. */
static int places(int parts) {
#if defined(__linux__) && defined(CPU_SET)
  cpu_set_t cores;
  int here = sched_getcpu();
  if (here < 0 || ((here != pool.giver || pool.aside < parts - 1) && sched_getaffinity(0, sizeof cores, &cores)))
    return 1;
  if (here != pool.giver)
    pool.giver = here, pool.cores = CPU_COUNT(&cores), pool.aside = 0;
  if (parts > pool.cores)
    parts = pool.cores;
  if (pool.aside < parts - 1)
    CPU_CLR(here, &cores);
  hire(parts - 1);
  for (; pool.aside < parts - 1 && pool.aside < pool.workers; pool.aside++)
    pthread_setaffinity_np(pool.threads[pool.aside], sizeof cores, &cores);
#else
  hire(parts - 1);
#endif
  return pool.workers < parts - 1 ? pool.workers + 1 : parts;
}

static void run_parts(part_function function, void *context, int parts) {
  if (parts > 1 && pool.hooked && !__atomic_exchange_n(&pool.busy, 1, __ATOMIC_ACQUIRE)) {
    parts = places(parts);
    /* A worker reads the job after its number has changed, and a job ends before the next begins. */
    pool.function = function, pool.context = context;
    pool.arrived = 0, pool.running = parts - 1;
    pthread_mutex_lock(&pool.lock);
    __atomic_store_n(&pool.job, (pool.job / 128 + 1) * 128 + parts, __ATOMIC_RELEASE);
    if (pool.sleepers)
      pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
    function(context, 0, parts);
    for (int i = 0; __atomic_load_n(&pool.running, __ATOMIC_ACQUIRE); i++)
      relax(i);
    __atomic_store_n(&pool.busy, 0, __ATOMIC_RELEASE);
  } else { /* one part, or another Python thread has the workers */
    function(context, 0, 1);
  }
}

static void wait_for_others(int parts, unsigned barrier) { /* barrier: how many came before, from 0 */
  if (parts == 1)
    return;
  __atomic_fetch_add(&pool.arrived, 1, __ATOMIC_ACQ_REL);
  for (int i = 0; __atomic_load_n(&pool.arrived, __ATOMIC_ACQUIRE) < (barrier + 1) * (unsigned)parts; i++)
    relax(i);
}

#define MEETINGS 8     /* barriers of a job, as many as a small step has */
#define TRIES 15
#define USUAL_TIME 2500 /* nanoseconds of such a job where the thresholds of work were found */

static void only_meet(void *context, int part, int parts) {
  for (unsigned barrier = 0; barrier < MEETINGS; barrier++)
    wait_for_others(parts, barrier);
}

/* The work from which two threads are faster than one, where it is ``usual`` on a processor whose cores see each
   other's writes in the usual time. It is measured at first use, in some 50 microseconds: others take several times as
   long. So does a core that somebody else uses just then; what is found slow is measured again, at the 16th call, the
   256th and the 4096th, and the least time counts. */
static long work_for_threads(long usual) {
  static long measured, calls; /* the median time of a job; 0: not yet */
  long median = __atomic_load_n(&measured, __ATOMIC_RELAXED), before = median, call = 0;
  if (median > USUAL_TIME)
    call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
  if (median == 0 || call == 16 || call == 256 || call == 4096) {
    long times[TRIES];
    for (int i = 0; i < TRIES; i++) {
      struct timespec begin, end;
      clock_gettime(CLOCK_MONOTONIC, &begin);
      run_parts(only_meet, NULL, 2);
      clock_gettime(CLOCK_MONOTONIC, &end);
      long time = (end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec;
      int place = i;
      for (; place > 0 && times[place - 1] > time; place--)
        times[place] = times[place - 1];
      times[place] = time;
    }
    median = times[TRIES / 2] > 0 ? times[TRIES / 2] : 1;
    if (before && before < median)
      median = before;
    __atomic_store_n(&measured, median, __ATOMIC_RELAXED);
  }
  return median <= USUAL_TIME ? usual : median < 10 * USUAL_TIME ? usual * median / USUAL_TIME : usual * 10;
}
#else
static void run_parts(part_function function, void *context, int parts) { function(context, 0, 1); }
static void wait_for_others(int parts, unsigned barrier) {}
static long work_for_threads(long usual) { return usual; }
#endif

#endif
