"""The two sides of a row of bench.py: a program each, which answers a line of JSON for each line
that names a number of units. The one that is not asked sleeps, so both may live side by side."""
import json
import os
import shutil
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", "build")
OURS = BUILD + "/bench/bench_rows"
PYTHON = "/usr/bin/python3"  # the distribution's, which has the distribution's PyTorch
THREADS = int(os.environ.get("THREADS", "0")) or min(2, os.cpu_count())

# L, H, A, S, V, batch
MODELS = {"A": "6,384,6,256,8192,16", "B": "12,96,12,256,32000,32",
          "C": "12,768,12,1024,32000,4"}

# Tried with PyTorch 1.13, A in float32 and bf16: each of these made it faster. Its buffers come from
# one heap that is never given back, in huge pages; OpenMP's threads give their processor to
# OpenBLAS's soon; and its own element-wise loops take AVX-512 only where they are told to.
TUNING = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
          "MALLOC_TOP_PAD_": str(1 << 28), "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
          "GOMP_SPINCOUNT": "10000"}
# With TACIT_ISA=avx2 both sides do without AVX-512, so that one machine can speak for another.
AVX2_ONLY = {"ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2",
             "OPENBLAS_CORETYPE": "Haswell", "LIBXSMM_TARGET": "hsw"}


class Failed(Exception):
    pass


def environment(threads, tuned):
    """Libraries choose their kernels themselves on both sides, and have as many threads."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    env.update(OPENBLAS_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    if tuned:
        env.update(TUNING)
        if "avx512f" in cpu_flags():
            env.update(ATEN_CPU_CAPABILITY="avx512")
    if os.environ.get("TACIT_ISA") == "avx2":
        env.update(AVX2_ONLY)
    return env


def cpu_lines(key):
    with open("/proc/cpuinfo") as f:
        return [line.split(":", 1)[1].strip() for line in f if line.split(":")[0].strip() == key]


def cpu_flags():
    return (cpu_lines("flags") or cpu_lines("Features") or [""])[0].split()


class Side:
    def __init__(self, command, threads=THREADS, tuned=False):
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment(threads, tuned))
        self.ready = self.answer()["ready"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed("%s ended: exit code %s" % (" ".join(self.command), self.process.wait()))
        return json.loads(line)

    def begin(self, units):
        self.process.stdin.write("%d\n" % units)
        self.process.stdin.flush()

    def ask(self, units):
        self.begin(units)
        return self.answer()

    def peak(self):
        """Peak resident memory so far, bytes."""
        with open("/proc/%d/status" % self.process.pid) as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Data:
    """The folder with a model's initial weights and tokens, which both sides read."""

    def __init__(self, model, batches):
        self.model = MODELS[model]
        os.makedirs(BUILD + "/bench", exist_ok=True)
        self.folder = tempfile.mkdtemp(prefix="rows-", dir=BUILD + "/bench")
        try:
            subprocess.run([OURS, "data", self.model, str(batches), self.folder], check=True)
        except (OSError, subprocess.CalledProcessError) as e:
            self.__exit__()
            raise Failed(str(e))

    def ours(self, mode, precision, threads=THREADS):
        return Side([OURS, mode, self.model, precision, str(threads), self.folder], threads)

    def peer(self, mode, precision, threads=THREADS):
        return Side([PYTHON, HERE + "/peer_torch.py", mode, self.model, precision, str(threads),
                     self.folder], threads, tuned=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)
