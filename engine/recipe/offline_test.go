// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

func TestHowALogEndsTellsHowTheStartEnded(t *testing.T) {
	for name, c := range map[string]struct {
		end     string
		outcome Outcome
		reason  startup.Reason
	}{
		"at the end of a line":         {"", OutcomeTruncated, ""},
		"within a line":                {"INFO 03-01 12:00:0", OutcomeTruncated, ""},
		"with an ellipsis":             {"...\n", OutcomeTruncated, ""},
		"with a word about it":         {"[output truncated]\n", OutcomeTruncated, ""},
		"the shell's word":             {"./run.sh: line 3:   812 Killed                  vllm serve m\n", OutcomeFailed, "killed"},
		"the shell's word alone":       {"Killed\n", OutcomeFailed, "killed"},
		"docker compose's word":        {"vllm-1 exited with code 137\n", OutcomeFailed, "killed"},
		"its word on an exit code":     {"vllm-1 exited with code 1\n", OutcomeFailed, "exit_code=1"},
		"its word on another program":  {"fetch-1 exited with code 0\n", OutcomeTruncated, ""},
		"a word too early":             {"fetch-1 exited with code 1\n" + strings.SplitAfter(finish, "seconds\n")[0][1:], OutcomeEngineReady, ""},
		"srun's word":                  {"srun: error: gpu1: task 0: Exited with exit code 1\n", OutcomeFailed, "exit_code=1"},
		"srun's word on memory":        {"srun: error: gpu1: task 0: Out Of Memory\n", OutcomeFailed, "out_of_memory"},
		"kubectl's word":               {"command terminated with exit code 143\n", OutcomeInterrupted, "terminated"},
		"supervisord's word":           {"2026-03-01 12:00:09,000 WARN exited: vllm (exit status 1; not expected)\n", OutcomeFailed, "exit_code=1"},
		"its word on a signal":         {"2026-03-01 12:00:09,000 WARN exited: vllm (terminated by SIGSEGV; not expected)\n", OutcomeFailed, "segmentation_fault"},
		"systemd's word":               {"systemd[1]: vllm.service: Main process exited, code=killed, status=9/KILL\nsystemd[1]: vllm.service: Failed with result 'signal'.\n", OutcomeFailed, "killed"},
		"systemd's word on memory":     {"systemd[1]: vllm.service: A process of this unit has been killed by the OOM killer.\n", OutcomeFailed, "out_of_memory"},
		"a runner's word":              {"##[error]Process completed with exit code 2.\n", OutcomeFailed, "exit_code=2"},
		"a runner's word on time":      {"ERROR: Job failed: execution took longer than 1h0m0s seconds\n", OutcomeInterrupted, "interrupted"},
		"make's word":                  {"make: *** [Makefile:3: serve] Error 1\n", OutcomeFailed, "exit_code=1"},
		"the shell's word on a job":    {"[1]+  Exit 1                  vllm serve m\n", OutcomeFailed, "exit_code=1"},
		"the shell's word on SIGABRT":  {"./run.sh: line 3:   812 Aborted                 (core dumped) vllm serve m\n", OutcomeFailed, "aborted"},
		"torchrun's word":              {"E0301 12:00:09.000000 1 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: -9) local_rank: 0 (pid: 12) of binary: python\nTraceback (most recent call last):\n  File \"x.py\", line 8, in <module>\ntorch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n", OutcomeFailed, "killed"},
		"a launcher's word":            {"Traceback (most recent call last):\n  File \"run.py\", line 3, in <module>\nsubprocess.CalledProcessError: Command '['vllm', 'serve']' died with <Signals.SIGKILL: 9>.\n", OutcomeFailed, "killed"},
		"what a dead process leaves":   {"multiprocessing/resource_tracker.py:279: UserWarning: resource_tracker: There appear to be 1 leaked semaphore objects to clean up at shutdown\n  warnings.warn(\n", OutcomeFailed, "ended_silently"},
		"another container's word":     {"vllm-1  | INFO 03-01 12:00:09 [x.py:1] Starting to load model m...\nopen-webui-1 exited with code 1 (restarting)\n", OutcomeTruncated, ""},
		"a namesake's word":            {"vllm-1  | INFO 03-01 12:00:09 [x.py:1] Starting to load model m...\nvllm-12 exited with code 137\n", OutcomeTruncated, ""},
		"a web interface's word":       {"vllm-1  | INFO 03-01 12:00:09 [x.py:1] Starting to load model m...\nopen-webui-1  | INFO:     Started server process [1]\nopen-webui-1 exited with code 1\n", OutcomeTruncated, ""},
		"a runner's after compose's":   {"2026-03-01T12:00:09.0Z vllm-1  | INFO 03-01 12:00:09 [x.py:1] Starting to load model m...\n2026-03-01T12:00:10.0Z vllm-1 exited with code 3\n2026-03-01T12:00:11.0Z ##[error]Process completed with exit code 1.\n", OutcomeFailed, "exit_code=3"},
		"a stop that took a SIGKILL":   {"2026-03-01 12:00:09,000 WARN stopped: vllm (terminated by SIGKILL)\n", OutcomeInterrupted, "interrupted"},
		"a probe's end, and a Ctrl-C":  {"Command '['nvidia-smi']' died with <Signals.SIGSEGV: 11>.\nINFO 03-01 12:00:09 [x.py:1] Starting to load model m...\n^CKeyboardInterrupt\nTerminated\n", OutcomeInterrupted, "interrupted"},
		"Slurm's end of a step":        {"srun: error: n1: task 1: Exited with exit code 1\nslurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-03-01T12:00:09 ***\nsrun: error: n1: task 0: Killed\n", OutcomeFailed, "exit_code=1"},
		"its container's word":         {"vllm-1  | INFO 03-01 12:00:09 [x.py:1] Starting to load model m...\nvllm-1 exited with code 1\n", OutcomeFailed, "exit_code=1"},
		"a job that ended well":        {"[1]+  Done                    nvidia-smi dmon\n", OutcomeTruncated, ""},
		"a warning of a probe":         {"WARNING 03-01 12:00:09 [x.py:1] Command '['nvidia-smi']' returned non-zero exit status 9.\n", OutcomeTruncated, ""},
		"a batch's end":                {strings.SplitAfter(finish, "seconds\n")[0][1:] + "Processed prompts:   1%|\n##[error]Process completed with exit code 1.\n", OutcomeEngineReady, ""},
		"a step that was cancelled":    {"Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nKeyError: 'x'\nsrun: error: n1: task 1: Exited with exit code 1\nslurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-03-01T12:00:09 ***\nsrun: error: n1: task 0: Killed\n", OutcomeFailed, "python_exception:KeyError"},
		"one that had no word":         {"srun: error: n1: task 1: Exited with exit code 1\nslurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-03-01T12:00:09 ***\n", OutcomeFailed, "exit_code=1"},
		"srun's word on a signal":      {"srun: error: n1: task 0: Killed\n", OutcomeFailed, "killed"},
		"make's word on a signal":      {"make: *** [Makefile:3: serve] Killed\n", OutcomeFailed, "killed"},
		"a cause, and a word about it": {"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\nvllm-1 exited with code 1\n", OutcomeFailed, "cuda_out_of_memory"},
		"Slurm's word on memory":       {"slurmstepd: error: Detected 1 oom_kill event in StepId=1.0.\n", OutcomeFailed, "out_of_memory"},
		"Slurm's word on time":         {"slurmstepd: error: *** JOB 1 ON n CANCELLED AT 2026-03-01T12:00:09 DUE TO TIME LIMIT ***\n", OutcomeInterrupted, "interrupted"},
		"the shell's word on SIGTERM":  {"Terminated\n", OutcomeInterrupted, "interrupted"},
		"a fault of the interpreter":   {"Fatal Python error: Segmentation fault\n", OutcomeFailed, "segmentation_fault"},
		"another of its faults":        {"Fatal Python error: Aborted\n", OutcomeFailed, "python_fatal"},
		"an exception of native code":  {"terminate called after throwing an instance of 'c10::Error'\n", OutcomeFailed, "native_exception"},
		"a model that is not known":    {"Value error, The checkpoint you are trying to load has model type `x` but Transformers does not recognize this architecture.\n", OutcomeFailed, "model_unsupported"},
		"while it tries again":         {"urllib3: Max retries exceeded with url: /x thrown while requesting HEAD\nRetrying in 8s [Retry 4/5].", OutcomeTruncated, ""},
		"tired of trying":              {"urllib3: Max retries exceeded with url: /x thrown while requesting HEAD\n", OutcomeFailed, "download_failed"},
		"an engine without its server": {strings.SplitAfter(finish, "seconds\n")[0][1:], OutcomeEngineReady, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadLog(strings.NewReader(start[1:]+c.end), LogOptions{Now: noon.Add(time.Hour), Location: time.UTC})
			if err != nil {
				t.Fatal(err)
			}
			if got.Outcome != c.outcome || got.Reason != c.reason {
				t.Errorf("%s %q, want %s %q", got.Outcome, got.Reason, c.outcome, c.reason)
			}
		})
	}
}

// No line of a progress bar has a time, but each says for how long it has been drawn.
func TestALogThatEndsInABarIsAsLongAsThat(t *testing.T) {
	const (
		load  = "INFO 03-01 12:00:10 [gpu_model_runner.py:1] Starting to load model m...\n"
		shard = "Loading safetensors checkpoint shards:  %d%% Completed | %d/9 [%s, 125.00s/it]"
	)
	bar := func(percent, n int, times string) string { return fmt.Sprintf(shard, percent, n, times) }
	for name, c := range map[string]struct {
		after   string
		outcome Outcome
		seconds float64
	}{
		"line by line":          {bar(0, 0, "00:00<?") + "\n" + bar(11, 1, "02:05<16:40") + "\n" + bar(44, 4, "08:20<10:25") + "\n", OutcomeTruncated, 500},
		"on one line":           {bar(0, 0, "00:00<?") + "\r" + bar(11, 1, "02:05<16:40") + "\r" + bar(44, 4, "08:20<10:25"), OutcomeTruncated, 500},
		"with the returns lost": {bar(0, 0, "00:00<?") + bar(11, 1, "02:05<16:40") + bar(44, 4, "08:20<10:25"), OutcomeTruncated, 500},
		"and a shell's word":    {bar(0, 0, "00:00<?") + "\n" + bar(44, 4, "08:20<10:25") + "\nKilled\n", OutcomeFailed, 500},
		"and the exception":     {bar(0, 0, "00:00<?") + "\n" + bar(44, 4, "08:20<10:25") + "\nTraceback (most recent call last):\n  File \"x.py\", line 1, in f\nKeyError: 'x'\n", OutcomeFailed, 500},
		"in hours":              {bar(0, 0, "00:00<?") + "\n" + bar(44, 4, "1:08:20<1:10:25") + "\n", OutcomeTruncated, 4100},
		"seen late":             {bar(11, 1, "02:05<16:40") + "\n" + bar(44, 4, "08:20<10:25") + "\n", OutcomeTruncated, 375},
		"one after another":     {bar(0, 0, "00:00<?") + "\n" + bar(99, 9, "00:40<00:00") + "\nCapturing CUDA graphs:   0%|          | 0/67 [00:00<?, ?it/s]\nCapturing CUDA graphs:  10%|█         | 7/67 [00:07<01:00,  1.0it/s]\n", OutcomeTruncated, 47},
		"two of one label":      {bar(1, 0, "00:05<?") + "\n" + bar(11, 1, "10:00<16:40") + "\n" + bar(1, 0, "00:06<?") + "\n" + bar(11, 1, "10:01<16:40") + "\n", OutcomeTruncated, 0},
		"of ranks":              {"(EngineCore_DP0 pid=1) " + bar(0, 0, "00:30<?") + "\n(EngineCore_DP1 pid=2) " + bar(0, 0, "00:00<?") + "\n(EngineCore_DP1 pid=2) " + bar(11, 1, "00:20<16:40") + "\n(EngineCore_DP0 pid=1) " + bar(11, 1, "00:50<16:40") + "\n", OutcomeTruncated, 20},
		"of files":              {"model-00001-of-00060.safetensors:  90%|█| 4.5G/5.0G [10:00<01:00, 8MB/s]\nmodel-00009-of-00060.safetensors:   1%|▏| 50M/5.0G [00:05<08:00, 8MB/s]\nmodel-00001-of-00060.safetensors:  91%|█| 4.5G/5.0G [10:01<01:00, 8MB/s]\n", OutcomeTruncated, 0},
		"with a varying label":  {"Capturing batches (bs=8 avail_mem=9.1 GB):   0%|          | 0/67 [00:00<?, ?it/s]\nCapturing batches (bs=4 avail_mem=9.0 GB):  10%|█         | 7/67 [00:07<01:00,  1.0it/s]\n", OutcomeTruncated, 7},
		"without a label":       {"  0%|          | 0/60 [05:00<05:00,  1.0s/it]\n 50%|█████     | 30/60 [10:00<05:00,  1.0s/it]\n", OutcomeTruncated, 300},
		"and a word behind it":  {bar(0, 0, "00:00<?") + "\n" + bar(44, 4, "08:20<10:25") + "Killed                  vllm serve m\n", OutcomeTruncated, 500},
		"one that begins anew":  {bar(0, 0, "00:00<?") + "\n" + bar(100, 9, "00:40<00:00") + "\n" + bar(0, 0, "00:00<?") + "\n" + bar(44, 4, "00:05<00:10") + "\n", OutcomeTruncated, 45},
		"in two containers":     {"vllm-1  | (EngineCore pid=1) " + bar(0, 0, "00:00<?") + "\nvllm-1  | (EngineCore pid=2) " + bar(0, 0, "00:30<?") + "\nvllm-1  | (EngineCore pid=1) " + bar(11, 1, "00:02<16:40") + "\n", OutcomeTruncated, 0},
		"two in turn":           {bar(0, 0, "00:00<?") + "\nFetching:   0%|          | 0/67 [00:00<?, ?it/s]\n" + bar(44, 4, "08:20<10:25") + "\nFetching:  10%|█         | 7/67 [08:20<01:00,  1.0it/s]\n", OutcomeTruncated, 0},
		"before a stamp":        {bar(0, 0, "00:00<?") + "\n" + bar(44, 4, "08:20<10:25") + "\nINFO 03-01 12:08:31 [default_loader.py:1] x\n", OutcomeTruncated, 501},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadLog(strings.NewReader(start[1:]+load+c.after), LogOptions{Now: noon.Add(3 * time.Hour), Location: time.UTC})
			if err != nil {
				t.Fatal(err)
			}
			init := got.Phases[0]
			if took := init.End.Sub(noon.Add(10 * time.Second)).Seconds(); got.Outcome != c.outcome || took != c.seconds {
				t.Errorf("%s, %v s after the load began, want %v", got.Outcome, took, c.seconds)
			}
		})
	}
}

func TestALogOfAnEngineThatSaysNoMoreThanHowItEndedIsThatEngines(t *testing.T) {
	got, err := ReadLog(strings.NewReader("vllm-1 exited with code 137\n"), LogOptions{Engine: "vllm", Now: noon, Location: time.UTC})
	if err != nil || got.Outcome != OutcomeFailed || got.Reason != startup.ReasonKilled {
		t.Errorf("%s %q %v", got.Outcome, got.Reason, err)
	}
}

func TestWhoKnowsThatTheWriterEndedSaysSo(t *testing.T) {
	got, err := ReadLog(strings.NewReader(start[1:]), LogOptions{Ended: true, Now: noon.Add(time.Hour), Location: time.UTC})
	if err != nil || got.Outcome != OutcomeFailed || got.Reason != startup.ReasonEndedSilently {
		t.Errorf("%s %q %v", got.Outcome, got.Reason, err)
	}
}

func TestALoopOfCrashesIsToldLaunchByLaunch(t *testing.T) {
	crash := start[1:] + "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nKeyError: 'x'\n"
	got, err := ReadLog(strings.NewReader(crash+crash+start[1:]+finish), LogOptions{Now: noon.Add(time.Hour), Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Earlier) != 2 || got.Outcome != OutcomeReady {
		t.Fatalf("%s after %+v", got.Outcome, got.Earlier)
	}
	for _, a := range got.Earlier {
		if a.Outcome != OutcomeFailed || a.Reason != "python_exception:KeyError" || !a.End.After(a.Start) {
			t.Errorf("%+v", a)
		}
	}
}

func TestTheSameLogIsReadTheSameEachTime(t *testing.T) {
	logs, err := filepath.Glob("testdata/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatal("no logs", err)
	}
	for _, log := range logs {
		first := readLog(t, log)
		for range 9 { // of two orders of a map one comes up nine times in a row for one log in 500
			if again := readLog(t, log); !reflect.DeepEqual(first, again) {
				t.Fatalf("%s:\n%+v\n%+v", log, first, again)
			}
		}
	}
}

func TestALongSilenceIsShownWithWhatLiesAroundIt(t *testing.T) {
	const log = "INFO 03-01 12:00:00 [api_server.py:1] vLLM API server version 0.13.0\n" +
		"INFO 03-01 12:00:01 [core.py:1] Starting to load model m...\n" +
		"INFO 03-01 12:05:01 [gpu_model_runner.py:1] Model loading took 1.5 GiB memory and 300.000000 seconds\n"
	got, err := ReadLog(strings.NewReader(log), LogOptions{Now: noon.Add(time.Hour), Location: time.UTC})
	if err != nil || len(got.Silences) != 1 {
		t.Fatalf("%v %+v", err, got.Silences)
	}
	s := got.Silences[0]
	if s.Length() != 5*time.Minute || s.Phase != "model_load" || s.After != "engine_config" ||
		!strings.Contains(s.Lines[0], "Starting to load") || !strings.Contains(s.Lines[1], "loading took") {
		t.Errorf("%+v", s)
	}
}

func TestTheHeadOfALogLine(t *testing.T) {
	for line, want := range map[string]string{
		"INFO 03-01 12:00:00 [x.py:1] hello":                                        "|INFO|03-01 12:00:00|hello",
		"INFO 03-01 12:00:00 x.py:1] hello":                                         "|INFO|03-01 12:00:00|hello",
		"(Worker_TP0 pid=7) INFO 03-01 12:00:00 [v1/worker/x.py:1] hello":           "Worker_TP0 pid=7|INFO|03-01 12:00:00|hello",
		"(E pid=1) (RayWorkerWrapper pid=2, ip=::1) INFO 03-01 12:00:00 [x.py:1] h": "RayWorkerWrapper pid=2, ip=::1|INFO|03-01 12:00:00|h",
		"100%|██| 35/35 [00:17<00:00, 3.9it/s]INFO 03-01 12:00:00 [x.py:1] hello":   "|INFO|03-01 12:00:00|hello",
		"[rank0]: ValueError: x":                                                    "rank0|||ValueError: x",
		"[2026-03-01 12:00:00 TP1] hello":                                           "TP1|||hello",
		"(not a prefix) hello":                                                      "|||(not a prefix) hello",
		"plain":                                                                     "|||plain",
		"":                                                                          "|||",
	} {
		h := parse([]byte(line), "")
		if got := string(h.rank) + "|" + string(h.level) + "|" + string(h.stamp) + "|" + string(h.message); got != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
	}
}

func TestAFileThatIsNoLogIsAnError(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "prose": "once upon a time\n", "another program's log": "INFO 03-01 12:00:00 hello\n"} {
		t.Run(name, func(t *testing.T) {
			if got, err := ReadLog(strings.NewReader(text), LogOptions{}); !errors.Is(err, errNoEngine) {
				t.Errorf("%v %+v", err, got)
			}
		})
	}
}

// initOf is the engine's init in a log that is read at noon.
func initOf(t *testing.T, log string) startup.Span {
	t.Helper()
	got, err := ReadLog(strings.NewReader(log), LogOptions{Now: noon, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	return got.Phases[0]
}

func TestStampsWithAndWithoutAYearAreOfOneYear(t *testing.T) {
	log := "2024-12-31 23:59:58,123 - app - INFO - up\nINFO 12-31 23:59:59 api_server.py:1] vLLM API server version 0.6.0\n" +
		"INFO 01-01 00:00:09 model_runner.py:1] Loading model weights took 14.9 GB\n"
	if init := initOf(t, log); init.Start.Year() != 2024 || init.End.Sub(init.Start).Round(time.Second) != 11*time.Second {
		t.Errorf("%+v", init)
	}
}

func TestALogOfRaysWorkersAloneEndsWithTheirLastWord(t *testing.T) {
	log := "(RayWorkerWrapper pid=692) INFO 02-08 03:48:34 [model_runner.py:1] Starting to load model m...\n" +
		"(RayWorkerWrapper pid=692) INFO 02-08 03:48:44 [model_runner.py:1] Model loading took 14.9 GiB and 10.0 seconds\n"
	if init := initOf(t, log); init.End.Sub(init.Start) != 10*time.Second {
		t.Errorf("%+v", init)
	}
}

func TestANamedEnginesLogMayHoldItsEndAlone(t *testing.T) {
	const log = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB.\n"
	if _, err := ReadLog(strings.NewReader(log), LogOptions{Now: noon}); !errors.Is(err, errNoEngine) {
		t.Errorf("of nobody: %v", err)
	}
	got, err := ReadLog(strings.NewReader(log), LogOptions{Engine: "sglang", Now: noon})
	if err != nil || got.Reason != "cuda_out_of_memory" {
		t.Errorf("%v %q", err, got.Reason)
	}
}

func TestStampsWithoutAYearAreTheLatestPossible(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		now  string
		want string
	}{
		"this year":             {"INFO 03-01 12:00:00 x", "2026-03-02T00:00:00Z", "2026-03-01T12:00:00Z"},
		"last year":             {"INFO 12-31 23:59:59 x", "2026-01-01T00:00:05Z", "2025-12-31T23:59:59Z"},
		"a clock ahead of ours": {"INFO 01-01 00:00:03 x", "2025-12-31T23:59:59Z", "2026-01-01T00:00:03Z"},
		"a leap day":            {"INFO 02-29 12:00:00 x", "2027-03-01T00:00:00Z", "2024-02-29T12:00:00Z"},
		"a year of its own":     {"2025-09-03 04:36:47,071\tINFO worker.py", "2026-03-02T00:00:00Z", "2025-09-03T04:36:47.071Z"},
		"RFC 3339":              {"2025-04-14T15:51:31.134585Z  INFO x", "2026-03-02T00:00:00Z", "2025-04-14T15:51:31.134585Z"},
		"RFC 3339 with a zone":  {"2025-04-14T15:51:31+02:00 x", "2026-03-02T00:00:00Z", "2025-04-14T13:51:31Z"},
		"glog":                  {"I0803 18:43:44.778509 1 x.cc:1] x", "2026-09-02T00:00:00Z", "2026-08-03T18:43:44.778509Z"},
		"no date of ours":       {"INFO 13-45 99:00:00 x", "2026-09-02T00:00:00Z", ""},
	} {
		t.Run(name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, c.now)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := stamped([]byte(c.line), now, time.UTC)
			if !ok && c.want != "" || ok && got.UTC().Format(time.RFC3339Nano) != c.want {
				t.Errorf("got %s %v, want %s", got.UTC().Format(time.RFC3339Nano), ok, c.want)
			}
		})
	}
}
