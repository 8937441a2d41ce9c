// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/engine"
)

// Options that name the model, the name it is served under first.
var (
	servedFlags = []string{"--served-model-name", "--served_model_name", "--model-name", "--model_name", "--alias"}
	modelFlags  = []string{
		"--model", "--model-path", "--model_path", "--model-id", "--model_id", "--model-tag", "--model_dir", "--hf-model", "--hf-repo", "-hf", "-hfr",
	}
	modelEnv = []string{
		"MODEL_NAME", "SERVED_MODEL_NAME", "NIM_SERVED_MODEL_NAME", "NIM_MODEL_NAME", "MODEL_ID", "HF_MODEL_ID", "MODEL", "LLM_MODEL",
	}
)

// modelName is the name the model is served under, else the model itself, else what env says, else the image.
func modelName(c *Container, l *Command, name string) string {
	if v := option(l.Args, servedFlags); v != "" {
		return v
	}
	if v := publicName(option(l.Args, modelFlags)); v != "" {
		return v
	}
	if engine.Positional(name) {
		if v := publicName(positional(l.Args)); v != "" {
			return v
		}
	}
	for _, variable := range modelEnv {
		value, _, _ := strings.Cut(c.Literal(variable), ",") // NIM takes several names
		if v := publicName(value); v != "" {
			return v
		}
	}
	if v := sourceName(l.Source); v != "" || name != engine.NIM {
		return v
	}
	return nimModel(c.Image)
}

// nimModel is the model that a NIM's image is made for: ORGANISATION/MODEL in nvcr.io/nim/ORGANISATION/MODEL. An image for
// any model is called llm-nim.
func nimModel(image string) string {
	_, name, _ := strings.Cut(imageRepository(image), "/nim/")
	if strings.Count(name, "/") != 1 || strings.HasSuffix(name, "-nim") {
		return ""
	}
	return name
}

// hub stands before the name of a model that is fetched from Hugging Face.
const hub = "hf://"

// sourceName is the folder that a download fetches, less patterns and what model folders are usually called.
func sourceName(source string) string {
	if name, ok := strings.CutPrefix(source, hub); ok {
		return name
	}
	_, path, _ := strings.Cut(source, "://")
	path, _, _ = strings.Cut(path, "?")
	elements := strings.Split(path, "/")
	for i := len(elements) - 1; i > 0; i-- {
		if e := elements[i]; e != "" && !strings.ContainsAny(e, "*?[") && !genericNames[e] {
			return e
		}
	}
	return ""
}

// option is the value of the first of some options that is given, in either spelling. Of one that is given twice the last
// counts.
func option(args []Word, names []string) (value string) {
	best := len(names)
	for i := range args {
		name, of, joined := strings.Cut(args[i].value(), "=")
		if name == "" || name[0] != '-' {
			continue
		}
		if !joined {
			if i+1 == len(args) || strings.HasPrefix(args[i+1].value(), "-") {
				continue
			}
			of = args[i+1].value()
		}
		if rank := slices.Index(names, name); rank >= 0 && rank <= best {
			value, best = of, rank
		}
	}
	return value
}

// positional is the first argument that is neither an option nor an option's value. Subcommands of subcommands are passed
// over.
func positional(args []Word) string {
	taken := false // the word before is an option that takes a value, as far as can be told
	for i := range args {
		w := &args[i]
		start := w.start()
		switch {
		case start == "serve", start == "api_server":
		case len(start) > 1 && start[0] == '-':
			taken = !strings.Contains(start, "=") && !isSwitch(start)
			continue
		case taken, strings.ContainsAny(start, "={"): // a value, or one of several
		default:
			return w.value()
		}
		taken = false
	}
	return ""
}

// isSwitch tells an option without a value by its name.
func isSwitch(option string) bool {
	switches := []string{"--enable-", "--disable-", "--no-", "--trust-", "--trust_", "--enforce-", "--headless", "--async-scheduling", "--skip-"}
	return slices.ContainsFunc(switches, func(prefix string) bool { return strings.HasPrefix(option, prefix) })
}

// genericNames are folders that models are put in; they name no model.
var genericNames = map[string]bool{"model_files": true, "models": true, "model": true, "checkpoint": true, "hf": true, "weights": true, "data": true, "snapshots": true}

// publicName keeps a model hub's id and of a path or URL its last element, which is what people call the model.
func publicName(model string) string {
	model, _, _ = strings.Cut(model, "?")
	model = strings.TrimPrefix(model, hub)
	path := strings.HasPrefix(model, "/") || strings.HasPrefix(model, ".") || strings.Contains(model, "://") || strings.Count(model, "/") > 1
	model = strings.TrimRight(model, "/")
	if path {
		model = engine.Base(model)
	}
	if genericNames[model] || model == "." || model == ".." {
		return ""
	}
	return model
}
