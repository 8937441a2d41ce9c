// SPDX-License-Identifier: Apache-2.0

package main

// engine is a version of vLLM that is installed and run.
type engine struct {
	version string
	torch   []string // the wheel asks for a build "+cpu" that PyPI does not have; its plain namesake serves, with its own companions
	until   string   // packages are those of that day, which pins them all; the day after the wheel was uploaded
	extra   []string
	headed  bool // it has --headless
	// light keeps the one rank within the engine core, as on a GPU: else there is a third process to import everything (0.32).
	light map[string]string
}

// otel is what vLLM's extra of that name asks for, before it became a requirement (0.17).
var otel = []string{"opentelemetry-sdk", "opentelemetry-exporter-otlp", "opentelemetry-semantic-conventions-ai"}

// engines are the last of 0.10, the first with loading spans of its own, and the newest that processors can run. The last
// is the one that further cells take.
var engines = []engine{
	{version: "0.10.2", torch: []string{"torch==2.6.0", "torchvision==0.21.0", "torchaudio==2.6.0"}, until: "2025-12-03", extra: otel},
	{version: "0.16.0", torch: []string{"torch==2.10.0", "torchvision==0.25.0", "torchaudio==2.10.0"}, until: "2026-04-07", extra: otel, headed: true},
	{version: "0.32.0", torch: []string{"torch==2.13.0"}, until: "2026-10-22", headed: true,
		light: map[string]string{"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}},
}

// uv installs: a day can be named, and packages of all versions share one cache by hard links.
const uv = "uv==0.13.9"

// pythons are those that wheels of all engines exist for.
var pythons = []string{"3.11", "3.12"}

func newest() engine { return engines[len(engines)-1] }

// shape is a way to write the command in a pod.
type shape struct {
	name    string
	probe   bool
	command func(python string, args []string) (command, rest []string)
}

const module = "vllm.entrypoints.openai.api_server"

var shapes = []shape{
	{"argv", true, func(python string, args []string) ([]string, []string) { return []string{python, "-m", module}, args }},
	{"serve", true, func(python string, args []string) ([]string, []string) {
		return []string{programBeside(python, "vllm"), "serve"}, args
	}},
	{"bash", true, func(python string, args []string) ([]string, []string) {
		return []string{"bash", "-c"}, []string{"exec " + quoted(append([]string{python, "-m", module}, args...))}
	}},
	{"noprobe", false, func(python string, args []string) ([]string, []string) { return []string{python, "-m", module}, args }},
}

// silence is what a start's output looks like.
type silence struct {
	name string
	env  map[string]string
	args []string
}

var silences = []silence{
	{name: "on"},
	{name: "warning", env: map[string]string{"VLLM_LOGGING_LEVEL": "WARNING"}},
	{name: "off", env: map[string]string{"VLLM_CONFIGURE_LOGGING": "0"}},
	{name: "json", env: map[string]string{"VLLM_LOGGING_CONFIG_PATH": "logging.json"}},
	{name: "uvicorn", args: []string{"--uvicorn-log-level", "warning"}},
}

// jsonLogging is a configuration of Python's logging that vLLM takes for its own.
const jsonLogging = `{
  "version": 1, "disable_existing_loggers": false,
  "formatters": {"json": {"class": "pythonjsonlogger.json.JsonFormatter", "format": "%(asctime)s %(levelname)s %(name)s %(filename)s %(lineno)d %(message)s"}},
  "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json", "level": "INFO", "stream": "ext://sys.stdout"}},
  "loggers": {"vllm": {"handlers": ["out"], "level": "INFO", "propagate": false}}
}`
