// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// tool is a program that downloads.
type tool struct {
	name     string
	span     string
	programs []string   // base names of the program, or of the script that an interpreter runs
	words    [][]string // each group has one word among the arguments; none: any arguments
	minor    bool       // also used for small things: counts only if it moved much, or took long

	// What it writes, by which its running is told where processes cannot be seen: the begin of a line for each object,
	// of a complaint, and of others.
	object, complaint string
	says              []string
	common            bool // engines write the same while they load
}

// tools are what model servers' images download with. A tool's probe without arguments (`s5cmd > /dev/null ||
// install it`) is not a download.
var tools = []tool{
	{name: "s5cmd", span: startup.SpanS5cmdDownload, programs: []string{"s5cmd"}, words: [][]string{{"cp", "sync", "mv", "run", "cat", "pipe"}},
		object: "cp s3://", complaint: `ERROR "`},
	{name: "azcopy", span: startup.SpanAzcopyDownload, programs: []string{"azcopy"}, words: [][]string{{"copy", "cp", "c", "sync", "s"}},
		says: []string{"INFO: Scanning...", "Elapsed Time (Minutes):", "Total Number of Bytes Transferred:", "Final Job Status: Completed"}, complaint: "Final Job Status: Failed"},
	{name: "gcloud", span: startup.SpanGcloudDownload, programs: []string{"gcloud", "gcloud.py"}, words: [][]string{{"storage"}, {"cp", "rsync"}},
		object: "Copying gs://", says: []string{"Completed files ", "Average throughput: "}, complaint: "ERROR: (gcloud.storage."},
	{name: "gsutil", span: startup.SpanGcloudDownload, programs: []string{"gsutil", "gsutil.py"}, words: [][]string{{"cp", "rsync"}}},
	{name: "aws", span: startup.SpanAWSDownload, programs: []string{"aws"}, words: [][]string{{"s3"}, {"cp", "sync", "mv"}},
		object: "download: s3://", says: []string{"Completed "}, complaint: "download failed: s3://"},
	{name: "huggingface-cli", span: startup.SpanHFDownload, programs: []string{"huggingface-cli", "hf"}, words: [][]string{{"download"}},
		says: []string{"Fetching ", "Downloading '"}, common: true},
	{name: "rclone", span: startup.SpanRcloneDownload, programs: []string{"rclone"}, words: [][]string{{"copy", "sync", "copyto"}},
		says: []string{"Transferred: "}},
	{name: "curl", span: startup.SpanCurlDownload, programs: []string{"curl"}, minor: true},
	{name: "wget", span: startup.SpanWgetDownload, programs: []string{"wget"}, minor: true,
		says: []string{"Saving to: "}},
}

// downloadOf names the tool that a command line downloads with, nil if it doesn't.
func downloadOf(argv []string) *tool {
	program, args := programOf(argv)
	for i := range tools {
		t := &tools[i]
		if slices.Contains(t.programs, program) && t.does(args) {
			return t
		}
	}
	return nil
}

// saying is the tool that writes such a line, nil if none does. command is what the container runs, as far as it is known.
func saying(line []byte, command string) *tool {
	line = bytes.TrimLeft(line, " ")
	for i := range tools {
		t := &tools[i]
		if !t.writes(line) {
			continue
		}
		if !t.common || slices.ContainsFunc(t.programs, func(p string) bool { return strings.Contains(command, p) }) {
			return t
		}
	}
	return nil
}

// writes tells whether a line begins as one of the tool's.
func (t *tool) writes(line []byte) bool {
	begins := func(s string) bool { return s != "" && bytes.HasPrefix(line, []byte(s)) }
	return begins(t.object) || begins(t.complaint) || slices.ContainsFunc(t.says, begins)
}

func (t *tool) does(args []string) bool {
	if t.minor {
		return slices.ContainsFunc(args, remote)
	}
	for _, group := range t.words {
		if !slices.ContainsFunc(args, func(a string) bool { return slices.Contains(group, a) }) {
			return false
		}
	}
	return true
}

// remote tells a URL of another machine: curl also asks for the health of this one.
func remote(arg string) bool {
	u, err := url.Parse(arg)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	h := u.Hostname()
	return h != "localhost" && !strings.HasPrefix(h, "127.") && h != "::1" && h != ""
}

// programOf is the base name of what runs: the script if an interpreter runs one.
func programOf(argv []string) (program string, args []string) {
	if len(argv) == 0 {
		return "", nil
	}
	program, args = path.Base(argv[0]), argv[1:]
	if !interpreter(program) {
		return program, args
	}
	for i, a := range args {
		if a == "-c" || a == "-m" {
			return program, args
		}
		if !strings.HasPrefix(a, "-") {
			return path.Base(a), args[i+1:]
		}
	}
	return program, nil
}

func interpreter(program string) bool {
	switch strings.TrimRight(program, "0123456789.") {
	case "python", "pypy", "sh", "bash", "dash", "node", "perl", "ruby":
		return true
	}
	return false
}

// rayOf says whether a command line sets up a Ray cluster: model-engine's script, or `ray start` itself. member is
// true where it only joins one.
func rayOf(argv []string) (starts, member bool) {
	program, args := programOf(argv)
	switch program {
	case "init_ray.sh":
		return true, len(args) > 0 && args[0] == "worker"
	case "ray":
		if len(args) == 0 || args[0] != "start" {
			return false, false
		}
		return true, !slices.Contains(args, "--head")
	}
	return false, false
}
