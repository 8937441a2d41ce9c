// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"
)

func TestFlagsOfPodsAreRefusedForFiles(t *testing.T) {
	before, after := reportFixtures+"before.jsonl", reportFixtures+"after.jsonl"
	for name, flag := range map[string][]string{
		"namespace": {"-n", "models"}, "selector": {"-l", "app=x"}, "all-namespaces": {"-A"}, "previous": {"--previous"}, "container": {"-c", "main"},
		"send": {"--send", "http://127.0.0.1:1"}, "context": {"--context", "x"}, "kubeconfig": {"--kubeconfig", "x"}, "max-log-bytes": {"--max-log-bytes", "7"},
	} {
		for what, c := range map[string]struct {
			cmd  *cobra.Command
			args []string
		}{
			"trace":        {newTraceCommand(), []string{before}},
			"report":       {newReportCommand(), []string{before, after}},
			"compare":      {newCompareCommand(), []string{before, after}},
			"compare --by": {newCompareCommand(), []string{"--by", "image_tag", "v0.11.2", "v0.12.0", before}},
		} {
			t.Run(what+" "+name, func(t *testing.T) {
				want := "--" + name + " is for pods of a cluster, and " + before + " is a file"
				if out, err := execute(t, c.cmd, slices.Concat(c.args, flag)...); err == nil || err.Error() != want {
					t.Errorf("error %v, want %q\n%s", err, want, out)
				}
			})
		}
	}
	if _, err := execute(t, newTraceCommand(), before, "--timeout", "3s"); err == nil || !strings.Contains(err.Error(), "--timeout is for pods") {
		t.Errorf("--timeout: error %v", err)
	}
	if _, err := execute(t, newReportCommand(), "-", "-A"); err == nil || !strings.Contains(err.Error(), "and - is standard input") {
		t.Errorf("standard input: error %v", err)
	}
}

func TestSinceIsOfFilesToo(t *testing.T) {
	file := reportFixtures + "before.jsonl"
	if _, err := execute(t, newReportCommand(), file, "--since", "1s"); err == nil || !strings.Contains(err.Error(), "began within the last 1s") {
		t.Errorf("error %v", err)
	}
	out, err := execute(t, newReportCommand(), file, "--since", "1000000h")
	if whole, _ := execute(t, newReportCommand(), file); err != nil || out != whole {
		t.Errorf("error %v, reported\n%s", err, out)
	}
}

func TestPackedFilesAreRead(t *testing.T) {
	in, err := os.ReadFile(traceFixtures + "ready.jsonl")
	must(t, err)
	var zip, z bytes.Buffer
	zipper := gzip.NewWriter(&zip)
	_, err = zipper.Write(in)
	must(t, err)
	must(t, zipper.Close())
	packer, err := zstd.NewWriter(&z)
	must(t, err)
	_, err = packer.Write(in)
	must(t, err)
	must(t, packer.Close())
	var messages []byte // as the collector's file exporter writes with compression: zstd
	for line := range bytes.Lines(in) {
		frame := packer.EncodeAll(line, nil)
		messages = append(binary.BigEndian.AppendUint32(messages, uint32(len(frame))), frame...)
	}
	for name, data := range map[string][]byte{"a.jsonl.gz": zip.Bytes(), "a.jsonl.zst": z.Bytes(), "traces.json": messages} {
		file := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(file, data, 0o600))
		if out, errs, err := drawTrace(t, "", file); err != nil || errs != "" || !strings.Contains(out, "ready after") {
			t.Errorf("%s: error %v, said %q, drew\n%s", name, err, errs, out)
		}
	}
}

func TestWhatIsMeantIsSaid(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	must(t, os.WriteFile(policy, []byte("otlp: here\ncolour: red\n"), 0o600))
	text, away := filepath.Join(t.TempDir(), "text"), filepath.Join(t.TempDir(), "away")
	must(t, os.WriteFile(text, []byte("not a kubeconfig\n"), 0o600))
	must(t, os.WriteFile(away, []byte(`{kind: Config, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}`), 0o600))
	spec := filepath.Join(t.TempDir(), "spec.yaml")
	must(t, os.WriteFile(spec, []byte("kind: Deployment\nmetadata: {name: x}\nspec: hello\n"), 0o600))
	nobody := func(protocol string) string { // listens there
		file := filepath.Join(t.TempDir(), "policy.yaml")
		must(t, os.WriteFile(file, []byte("otlp: {endpoint: 'http://127.0.0.1:1', protocol: "+protocol+"}\n"), 0o600))
		return file
	}
	for name, c := range map[string]struct {
		args, want []string
	}{
		"a file that is not there":         {[]string{"trace", "nosuchfile"}, []string{"there is no file nosuchfile, so it was taken for a pod; and there is no kubeconfig"}},
		"a file to compare that isn't":     {[]string{"compare", "nosuchfile", "other"}, []string{"there is no file nosuchfile, so it was taken for a pod; and there is no kubeconfig"}},
		"pods without a cluster":           {[]string{"report"}, []string{"there is no kubeconfig", "/none, where no cluster is named"}},
		"a kind with a slip":               {[]string{"trace", "depoy/x"}, []string{"there is no file depoy/x", `no kind "depoy"`, "is deploy/x meant?", "deploy (deployment), rs (replicaset), sts"}},
		"a kind that is cut short":         {[]string{"trace", "dep/x"}, []string{`no kind "dep"`, "is deploy/x meant?"}},
		"a kind without pods":              {[]string{"trace", "configmap/x"}, []string{`no kind "configmap"; there are pod`}},
		"a command with a slip, and flags": {[]string{"tarce", "deploy/x", "-n", "models"}, []string{`there is no command "tarce"; is trace meant?`}},
		"no command, and flags":            {[]string{"deploy/x", "-n", "models"}, []string{"is coldtrace trace deploy/x meant?"}},
		"a file in a folder":               {[]string{"trace", "testdata/x"}, []string{"there is no file testdata/x"}},
		"the log of an engine to trace":    {[]string{"trace", fixtures + "vllm-0.19.0.log"}, []string{"coldtrace phases reads it"}},
		"traces to phases":                 {[]string{"phases", traceFixtures + "ready.jsonl"}, []string{"coldtrace trace reads it"}},
		"a capture to phases":              {[]string{"phases", "../../capture/testdata/plain.yaml"}, []string{"coldtrace trace reads it"}},
		"phases of nothing":                {[]string{"phases"}, []string{"name a log of an engine"}},
		"phases of an unknown engine":      {[]string{"phases", "--engine", "foo", fixtures + "vllm-0.19.0.log"}, []string{`unknown engine "foo"; there are: `, "vllm", "sglang"}},
		"an exit status that is none":      {[]string{"phases", "--exit-code", "256", fixtures + "vllm-0.19.0.log"}, []string{"--exit-code 256: want 0 to 255; 128+n"}},
		"one before all":                   {[]string{"phases", "--exit-code", "-1", fixtures + "vllm-0.19.0.log"}, []string{"--exit-code -1: want 0 to 255"}},
		"spans and a list at once":         {[]string{"trace", "--list", "-o", "otlp", traceFixtures + "ready.jsonl"}, []string{"-o writes spans and --list a list: not both"}},
		"to follow a list nowhere":         {[]string{"trace", "--list", "--follow", traceFixtures + "ready.jsonl"}, []string{"standard output is none; without it a file is drawn or listed once"}},
		"help on a command with a slip":    {[]string{"help", "tarce"}, []string{`there is no command "tarce"; is trace meant?; coldtrace --help lists`}},
		"help on a shell that isn't":       {[]string{"help", "completion", "bass"}, []string{`there is no command "bass"; is bash meant?; coldtrace completion --help lists`}},
		"a shell that there is not":        {[]string{"completion", "foo"}, []string{`there is no command "foo"; coldtrace completion --help lists`}},
		"no dashboard":                     {[]string{"dashboard"}, []string{"grafana or datadog"}},
		"a kind of kubectl's":              {[]string{"trace", "deployment.apps/x"}, []string{"there is no kubeconfig"}},
		"a kind with its version":          {[]string{"trace", "statefulsets.v1.apps/x"}, []string{"there is no kubeconfig"}},
		"a kind of few letters":            {[]string{"report", "po/x"}, []string{"there is no kubeconfig"}},
		"explain a kind cut short":         {[]string{"explain", "dep/x"}, []string{`no kind "dep"`, "is deploy/x meant?"}},
		"explain a file without -f":        {[]string{"explain", "nosuch.yaml"}, []string{"there is no file nosuch.yaml, so it was taken for a pod; and there is no kubeconfig"}},
		"a width that is no number":        {[]string{"trace", "--width", "abc", "-"}, []string{"want a number of columns"}},
		"a negative width":                 {[]string{"report", "--width", "-3", "-"}, []string{"want a number of columns"}},
		"a command with a slip":            {[]string{"trcae", "x"}, []string{`no command "trcae"; is trace meant?; coldtrace --help lists`}},
		"a file and no command":            {[]string{"testdata"}, []string{"is coldtrace trace testdata meant?"}},
		"a deployment and no command":      {[]string{"deploy/x"}, []string{"is coldtrace trace deploy/x meant?"}},
		"a flag with a slip":               {[]string{"trace", "--folow", "x"}, []string{"coldtrace trace has no flag --folow; is --follow meant?; coldtrace trace --help lists"}},
		"a letter that is no flag":         {[]string{"trace", "-z"}, []string{"coldtrace trace has no flag -z; coldtrace trace --help lists"}},
		"kubectl's flag without its value": {[]string{"trace", "-n"}, []string{"--namespace wants a value: the namespace, such as models"}},
		"a flag without its value":         {[]string{"report", "-", "--by"}, []string{"--by wants a value: group by this: endpoint, model"}},
		"a number that is none":            {[]string{"phases", "--exit-code", "x", "-"}, []string{"--exit-code x: want a whole number, such as 3"}},
		"a rate that is none":              {[]string{"sampling", "--requests", "many"}, []string{"--requests many: want a number, such as 2.5"}},
		"a duration without its unit":      {[]string{"trace", "--since", "3", "-"}, []string{"--since 3: want a duration, such as 90s, 20m or 2h"}},
		"a duration before now":            {[]string{"report", "--since", "-3h", "-"}, []string{"--since -3h0m0s: want a duration"}},
		"a time-out before now":            {[]string{"trace", "--follow", "--timeout", "-1s", "x"}, []string{"--timeout -1s: want a duration"}},
		"a capture that ends before now":   {[]string{"capture", "--for", "-1s"}, []string{"--for -1s: want a duration"}},
		"no bytes of a log":                {[]string{"trace", "--max-log-bytes", "0", "x"}, []string{"--max-log-bytes 0: want a number of bytes"}},
		"neither true nor false":           {[]string{"inject", "--image-volumes=x"}, []string{"--image-volumes x: want true or false"}},
		"an annotation without a value":    {[]string{"inject", "--namespace-annotation", "x"}, []string{"--namespace-annotation x: want KEY=VALUE"}},
		"an endpoint that is no URL":       {[]string{"trace", "--send", "localhost", "x"}, []string{"--send localhost: want a URL, such as http://"}},
		"a format that is none":            {[]string{"trace", "-o", "json", "-"}, []string{"-o json: want otlp"}},
		"arguments of a command without":   {[]string{"rights", "models"}, []string{`coldtrace rights takes no arguments, and "models" is one; coldtrace rights --help`}},
		"a dashboard that there is not":    {[]string{"dashboard", "Grafana"}, []string{`there is no dashboard "Grafana"; is grafana meant?; name a dashboard: grafana or datadog`}},
		"nothing to compare":               {[]string{"compare"}, []string{"name what to compare: coldtrace compare BEFORE AFTER, or coldtrace compare --by image_tag V1 V2"}},
		"one source to compare":            {[]string{"compare", "a.jsonl"}, []string{"a.jsonl is one source", "coldtrace compare --by image_tag V1 V2 a.jsonl"}},
		"three sources to compare":         {[]string{"compare", "a.jsonl", "b.jsonl", "c.jsonl"}, []string{"these are 3 sources, and two can be compared"}},
		"one value to compare":             {[]string{"compare", "--by", "model", "a"}, []string{"name two values of model before the sources: coldtrace compare --by model V1 V2"}},
		"compared by nothing known":        {[]string{"compare", "--by", "color", "a", "b"}, []string{`--by: starts can't be grouped by "color", only by endpoint`}},
		"reported by nothing known":        {[]string{"report", "--by", "color", "-"}, []string{`--by: starts can't be grouped by "color"`}},
		"a kind and no name":               {[]string{"trace", "deploy/"}, []string{"deploy/ names none: want deploy/NAME; kubectl get deploy lists"}},
		"to explain a kind and no name":    {[]string{"explain", "sts/"}, []string{"sts/ names none: want sts/NAME"}},
		"to serve by a policy that isn't":  {[]string{"serve", "--policy", "none.yaml", "--namespace", "x"}, []string{"--policy: there is no file none.yaml"}},
		"to serve without a cluster":       {[]string{"serve", "--namespace", "x"}, []string{"this is no pod of one, and there is no kubeconfig; set KUBECONFIG"}},
		"to check by a policy that isn't":  {[]string{"check", "--policy", "none.yaml"}, []string{"--policy: there is no file none.yaml"}},
		"to check the defaults":            {[]string{"check"}, []string{"so pods are left as they are: set otlp.endpoint of the policy (--policy)"}},
		"to check what only watches":       {[]string{"check", "--webhook=false"}, []string{"so no span is sent: set otlp.endpoint of the policy (--policy)"}},
		"to check an admission from here":  {[]string{"check", "--policy", nobody("grpc")}, []string{"this is no pod of one"}},
		"a collector that is away":         {[]string{"check", "--webhook=false", "--policy", nobody("grpc")}, []string{"by otlp.protocol grpc): ", "nobody takes it there: ", "connection refused; does a collector listen"}},
		"one that is away over HTTP":       {[]string{"check", "--webhook=false", "--policy", nobody("http/protobuf")}, []string{"by otlp.protocol http/protobuf): ", "connection refused; does a collector listen"}},
		"two forms of a report":            {[]string{"report", "--json", "--csv", "-"}, []string{"--json and --csv both write to standard output"}},
		"a folder to trace":                {[]string{"trace", "testdata"}, []string{"testdata is a folder: name a file in it"}},
		"a folder to explain":              {[]string{"explain", "-f", "testdata"}, []string{"testdata is a folder: name a file in it"}},
		"a folder of logs":                 {[]string{"phases", "testdata"}, []string{"testdata is a folder: name a file in it"}},
		"a page in no folder":              {[]string{"report", "--html", "none/x.html", reportFixtures + "before.jsonl"}, []string{"--html none/x.html: there is no folder none, and so no file x.html in it"}},
		"a page that is a folder":          {[]string{"trace", "--html", "testdata", traceFixtures + "ready.jsonl"}, []string{"--html testdata: testdata is a folder"}},
		"a policy that is not there":       {[]string{"explain", "-f", "-", "--policy", "none.yaml"}, []string{"--policy: there is no file none.yaml"}},
		"a policy that is none":            {[]string{"explain", "-f", "-", "--policy", "documents_test.go"}, []string{"documents_test.go: parse policy: line"}},
		"a policy with a slip":             {[]string{"inject", "-f", "-", "--policy", policy}, []string{policy + ": parse policy: line 1: otlp: a text, where an object belongs; line 2: there is no field colour"}},
		"a spec that is a text":            {[]string{"explain", "-f", spec}, []string{"spec.template can't be found in what is no object"}},
		"a manifest to trace":              {[]string{"trace", "../../inject/testdata/annotation-typo.yaml"}, []string{"is a manifest, and no trace: coldtrace explain -f ../../inject"}},
		"a folder of kubeconfigs":          {[]string{"trace", "--kubeconfig", "testdata", "x"}, []string{"read testdata: is a directory; --kubeconfig names another"}},
		"a kubeconfig that is none":        {[]string{"capture", "--kubeconfig", text}, []string{"it is no kubeconfig; --kubeconfig names another"}},
		"a kubeconfig that is not there":   {[]string{"rights", "--check", "--kubeconfig", "none"}, []string{"load kubeconfig: there is no file none"}},
		"a context that is not there":      {[]string{"report", "--kubeconfig", away, "--context", "none"}, []string{`context "none" does not exist`, "kubectl config get-contexts"}},
		"a cluster that is away":           {[]string{"capture", "--kubeconfig", away}, []string{"connection refused; kubectl get pods -n default tells"}},
		"rights in one that is away":       {[]string{"rights", "--check", "--kubeconfig", away}, []string{"connection refused; kubectl get pods -n default tells"}},
		"a name and labels":                {[]string{"trace", "--kubeconfig", away, "x", "-l", "a=b"}, []string{"x is a name, and -l and -A choose among all pods: give one of them"}},
		"a pod that is in no file":         {[]string{"trace", traceFixtures + "ready.jsonl", "--pod", "sts/x"}, []string{"none is that of --pod sts/x; there are these pods"}},
		"rights of nobody":                 {[]string{"rights", "--bind", ""}, []string{"--bind is empty: want the name of a user"}},
		"rights that are asked and made":   {[]string{"rights", "--check", "--bind", "jane"}, []string{"give one of them"}},
		"rights in what is no namespace":   {[]string{"rights", "-n", "bad name!"}, []string{`--namespace "bad name!" can't be one`}},
		"spans and a page at once":         {[]string{"trace", "-o", "otlp", "--html", "x.html", "-"}, []string{"not both"}},
		"explain a kind with a slip":       {[]string{"explain", "-f", "-"}, []string{"its kinds are Deploymnet, pod, none (an object has no kind)", "Deployment, Job"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			root := newRootCommand()
			root.SetArgs(c.args)
			root.SetOut(&out)
			root.SetErr(&out)
			root.SetIn(strings.NewReader("kind: Deploymnet\n---\nkind: pod\n---\nmetadata: {name: x}\n"))
			err := root.ExecuteContext(t.Context())
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q\n%s", err, want, out.String())
				}
			}
			if said := regexp.MustCompile(`strconv|json: cannot|json: unknown|unmarshal|invalid (argument|character)|arg\(s\)|flag needs|rpc error|KUBERNETES_MASTER`).FindString(out.String() + fmt.Sprint(err)); said != "" {
				t.Errorf("%q is a programmer's word: %v\n%s", said, err, out.String())
			}
		})
	}
}

func TestTheRootTellsItsVersion(t *testing.T) {
	if out, err := execute(t, newRootCommand(), "--version"); err != nil || !strings.Contains(out, version) {
		t.Errorf("error %v, printed %q", err, out)
	}
}

func TestInjectWarnsOfKindsItDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct {
		manifest string
		warned   []string // kinds
	}{
		"a slip":                     {"kind: Deploymnet\n", []string{"Deploymnet"}},
		"lower case":                 {"kind: pod\n", []string{"pod"}},
		"none":                       {"metadata: {name: x}\n", []string{"none"}},
		"in a list":                  {"kind: List\nitems:\n- kind: Deploymnet\n- kind: Secret\n", []string{"Deploymnet"}},
		"what a release has besides": {"kind: Service\n---\nkind: ConfigMap\n---\nkind: Ingress\n---\nkind: Job\nspec:\n  template:" + podTemplateYAML, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs, err := output(t, newInjectCommand(), c.manifest, "-f", "-")
			if err != nil || strings.Count(errs, "is not known") != len(c.warned) {
				t.Errorf("error %v, said %q", err, errs)
			}
			for _, kind := range c.warned {
				if !strings.Contains(errs, "warning: kind "+kind) || !strings.Contains(errs, "CronJob, DaemonSet, Deployment") {
					t.Errorf("said %q of %s", errs, kind)
				}
			}
		})
	}
}
