// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"
)

// head is that of vLLM's own logger, which got its opening bracket in 0.8.
func (p *player) head(level, place string, now time.Time) string {
	bracket := "["
	if older(p.version, "0.8") {
		bracket = ""
	}
	return level + now.Format(" 01-02 15:04:05 ") + bracket + place + "]"
}

// prefix names the process that writes, in the words and colours of the version.
func (p *player) prefix(process string, rank int) string {
	pid, name := os.Getpid(), ""
	switch process {
	case "api":
		if !older(p.version, "0.10.1") {
			name = "APIServer"
		}
	case "engine":
		pid, name = pid+96, p.engineName()
	case "worker":
		pid, name = pid+97+rank, p.workerName(rank)
		if p.ranks == 1 {
			pid, name = os.Getpid()+96, p.engineName()
		}
	}
	switch {
	case name == "":
		return ""
	case older(p.version, "0.12"):
		return fmt.Sprintf("\x1b[1;36m(%s pid=%d)\x1b[0;0m ", name, pid)
	case older(p.version, "0.16"):
		return fmt.Sprintf("\x1b[0;36m(%s pid=%d)\x1b[0;0m ", name, pid)
	}
	return fmt.Sprintf("(%s pid=%d) ", name, pid)
}

func (p *player) engineName() string {
	switch {
	case older(p.version, "0.10.1"):
		return ""
	case older(p.version, "0.10.2"):
		return "EngineCore_0"
	case older(p.version, "0.18"):
		return "EngineCore_DP0"
	}
	return "EngineCore"
}

func (p *player) workerName(rank int) string {
	switch {
	case older(p.version, "0.8"):
		if rank == 0 {
			return ""
		}
		return "VllmWorkerProcess"
	case older(p.version, "0.10.1"):
		return fmt.Sprintf("VllmWorker rank=%d", rank)
	case older(p.version, "0.10.2"):
		return fmt.Sprintf("VllmWorker TP%d", rank)
	}
	return fmt.Sprintf("Worker_TP%d", rank)
}

// foreignHead is that of another server's logger.
func foreignHead(logger, span string, now time.Time) string {
	if logger == "lightllm" {
		return now.Format("01-02 15:04:05")
	}
	target := "text_generation_launcher"
	if logger == "router" {
		target = "text_generation_router_v3"
	}
	head := "\x1b[2m" + now.UTC().Format("2006-01-02T15:04:05.000000Z") + "\x1b[0m \x1b[32m INFO\x1b[0m "
	if span != "" {
		head += "\x1b[1m" + span + "\x1b[0m: "
	}
	return head + "\x1b[2m" + target + "\x1b[0m\x1b[2m:\x1b[0m"
}
