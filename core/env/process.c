#include "core/env/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "core/env/cgroup.h"
#include "core/env/clock.h"

/* A signal has no argument to carry state in: the flag and its pipe belong to the process. */
static atomic_bool stop_flag;
static atomic_int stop_signal; /* the first one */
static int stop_pipe[2] = {-1, -1};
static pthread_once_t stop_once = PTHREAD_ONCE_INIT;

static void stop_pipe_make(void)
{
    if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        abort(); /* no descriptor left at the start of a program */
}

/* Safe in a signal handler. */
static void stop_set(void)
{
    int saved = errno;

    /* One byte is enough, and stays in the pipe: the descriptor remains readable. */
    if (!atomic_exchange(&stop_flag, true))
        (void)!write(stop_pipe[1], "s", 1);
    errno = saved;
}

static void on_stop_signal(int number)
{
    int none = 0;

    if (!atomic_load(&stop_flag))
        (void)atomic_compare_exchange_strong(&stop_signal, &none, number);
    stop_set();
}

void env_stop_on_signals(void)
{
    struct sigaction stop = {.sa_handler = on_stop_signal}, ignore = {.sa_handler = SIG_IGN};

    pthread_once(&stop_once, stop_pipe_make);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

void env_stop_on_notice(void)
{
    struct sigaction stop = {.sa_handler = on_stop_signal};

    pthread_once(&stop_once, stop_pipe_make);
    sigaction(SIGUSR1, &stop, NULL);
}

const char *env_stop_signal(void)
{
    switch (atomic_load(&stop_signal)) {
    case SIGTERM:
        return "SIGTERM";
    case SIGINT:
        return "SIGINT";
    case SIGUSR1:
        return "SIGUSR1";
    default:
        return NULL;
    }
}

bool env_stop_requested(void)
{
    return atomic_load_explicit(&stop_flag, memory_order_relaxed);
}

void env_stop_request(void)
{
    pthread_once(&stop_once, stop_pipe_make);
    stop_set();
}

void env_stop_forget(void)
{
    char byte;

    atomic_store(&stop_signal, 0);
    atomic_store(&stop_flag, false);
    while (read(env_stop_fd(), &byte, 1) > 0)
        continue;
}

int env_stop_fd(void)
{
    pthread_once(&stop_once, stop_pipe_make);
    return stop_pipe[0];
}

bool env_stop_wait_ms(int64_t ms)
{
    struct pollfd p = {.fd = env_stop_fd(), .events = POLLIN};
    int64_t deadline = env_monotonic_ms() + (ms > 0 ? ms : 0);

    while (!env_stop_requested()) {
        int64_t left = deadline - env_monotonic_ms();
        if (left <= 0)
            break;
        (void)poll(&p, 1, left < 60000 ? (int)left : 60000);
    }
    return env_stop_requested();
}

static int affinity_count(void)
{
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) { /* the kernel's mask may be wider */
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        size_t size = CPU_ALLOC_SIZE((size_t)cpus);
        if (set == NULL)
            break;
        bool known = sched_getaffinity(0, size, set) == 0;
        int count = known ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (known)
            return count > 0 ? count : 1;
        if (errno != EINVAL)
            break;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int env_cpu_count(void)
{
    int count = affinity_count(), quota = cgroup__cpus(CGROUP_SELF, CGROUP_ROOT);

    return quota > 0 && quota < count ? quota : count;
}

uint64_t env_memory_bytes(void)
{
    uint64_t physical = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit = cgroup__memory(CGROUP_SELF, CGROUP_ROOT);

    return limit < physical ? limit : physical;
}

uint64_t env_memory_peak(void)
{
    struct rusage usage = {0};

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024; /* Linux counts in KiB */
}

static char host_name[256];
static pthread_once_t host_once = PTHREAD_ONCE_INIT;

static void host_name_ask(void)
{
    if (gethostname(host_name, sizeof host_name - 1) != 0 || host_name[0] == '\0')
        strcpy(host_name, "localhost");
}

const char *env_host_name(void)
{
    pthread_once(&host_once, host_name_ask);
    return host_name;
}

const char *env_get(const char *name)
{
    return getenv(name);
}

void env_set(const char *name, const char *value)
{
    setenv(name, value, 1);
}
