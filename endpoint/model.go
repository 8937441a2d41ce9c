// SPDX-License-Identifier: Apache-2.0

package endpoint

import "strings"

// Options that name the model, the name it is served under first.
var (
	servedFlags = []string{"--served-model-name", "--served_model_name", "--model-name", "--model_name"}
	modelFlags  = []string{"--model", "--model-path", "--model_path", "--model-id", "--model_id", "--model-tag", "--model_dir", "--hf-model"}
	modelEnv    = []string{
		"MODEL_NAME", "SERVED_MODEL_NAME", "NIM_SERVED_MODEL_NAME", "NIM_MODEL_NAME", "MODEL_ID", "HF_MODEL_ID", "MODEL", "LLM_MODEL",
	}
)

// positionalModel are the engines whose first argument is the model.
var positionalModel = map[string]bool{VLLM: true, LMDeploy: true, TensorRTLLM: true, Ollama: false}

// modelName is the name the model is served under, else the model itself, else what env says.
func modelName(c *Container, l *Launch) string {
	if v := option(l.Args, servedFlags); v != "" {
		return v
	}
	if v := publicName(option(l.Args, modelFlags)); v != "" {
		return v
	}
	if positionalModel[l.Engine] {
		if v := publicName(positional(l.Args)); v != "" {
			return v
		}
	}
	for _, name := range modelEnv {
		if v := publicName(literalEnv(c, name)); v != "" {
			return v
		}
	}
	return sourceName(l.Source)
}

// sourceName is the folder that a download fetches, less patterns and what model folders are usually called.
func sourceName(source string) string {
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

// option is the first value of an option, in either spelling.
func option(args []Word, names []string) string {
	for _, name := range names {
		for i, w := range args {
			if value, ok := strings.CutPrefix(first(w.Text, w.guess), name+"="); ok {
				return value
			}
			if w.Text == name && i+1 < len(args) && !strings.HasPrefix(args[i+1].Text, "-") {
				return first(args[i+1].Text, args[i+1].guess)
			}
		}
	}
	return ""
}

// positional is the first argument if it is not an option. Subcommands of subcommands are passed over.
func positional(args []Word) string {
	for _, w := range args {
		switch {
		case w.ours, w.Text == "serve", w.Text == "api_server":
		case strings.HasPrefix(first(w.Text, w.guess), "-"):
			return ""
		default:
			return first(w.Text, w.guess)
		}
	}
	return ""
}

// genericNames are folders that models are put in; they name no model.
var genericNames = map[string]bool{"model_files": true, "models": true, "model": true, "checkpoint": true, "hf": true, "weights": true, "data": true, "snapshots": true}

// publicName keeps a model hub's id and of a path or URL its last element, which is what people call the model.
func publicName(model string) string {
	model, _, _ = strings.Cut(model, "?")
	path := strings.HasPrefix(model, "/") || strings.HasPrefix(model, ".") || strings.Contains(model, "://") || strings.Count(model, "/") > 1
	model = strings.TrimRight(model, "/")
	if path {
		model = base(model)
	}
	if genericNames[model] || model == "." || model == ".." {
		return ""
	}
	return model
}
