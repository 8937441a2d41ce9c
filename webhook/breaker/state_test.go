// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/startup"
)

var begin = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func report1(owner string, pod int, v Verdict) *report {
	return &report{workload: owner, pod: fmt.Sprintf("%s-%d", owner, pod), verdict: v}
}

func TestAnImageThatCannotBePulledOpensAtTheFirstPod(t *testing.T) {
	var s State
	if _, opened, _ := s.observe(report1("a", 1, NoImage), begin); !opened || !s.isOpen("a") || s.isOpen("b") {
		t.Errorf("%+v", s)
	}
}

func TestCrashesOpenAtTheThirdPodAndTheSamePodCountsOnce(t *testing.T) {
	var s State
	for range 10 {
		s.observe(report1("a", 1, Crashing), begin)
	}
	s.observe(report1("a", 2, Crashing), begin)
	if s.isOpen("a") {
		t.Fatal("two pods opened it")
	}
	if _, opened, _ := s.observe(report1("a", 3, Crashing), begin); !opened {
		t.Error("three pods did not")
	}
}

func TestCrashesThatGoOnWithoutTheWrapperAreNotOurs(t *testing.T) {
	var s State
	for i := range 3 {
		s.observe(report1("a", i, Crashing), begin)
	}
	if changed, _, _ := s.observe(report1("a", 9, SameBare), begin); !changed || s.isOpen("a") {
		t.Error("it stays open for what is not ours")
	}
	for i := range 9 {
		if _, opened, _ := s.observe(report1("a", 10+i, Crashing), begin); opened {
			t.Error("it opened again")
		}
	}
}

func TestItOpensForAllAtAThresholdAndClosesByItself(t *testing.T) {
	var s State
	for i := range openFor {
		_, _, all := s.observe(report1(strconv.Itoa(i), 1, NoImage), begin)
		if all != (i == openFor-1) {
			t.Errorf("owner %d: all %v", i, all)
		}
	}
	if !s.isOpen("someone else") {
		t.Error("not open for all")
	}
	if s.expire(begin.Add(reset - time.Second)) {
		t.Error("closed too soon")
	}
	if !s.expire(begin.Add(reset)) || s.isOpen("0") || s.isOpen("someone else") {
		t.Error("it does not close")
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	var s State
	for i := range maxOwners + 100 {
		s.observe(report1(strconv.Itoa(i), 1, Crashing), begin.Add(time.Duration(i)*time.Second))
	}
	if len(s.Owners) > maxOwners {
		t.Errorf("%d owners", len(s.Owners))
	}
	if _, ok := s.Owners["0"]; ok {
		t.Error("the oldest is still there")
	}
}

func TestAPodIsJudgedByItsStatus(t *testing.T) {
	waiting := func(name, reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	terminated := func(name, reason string, restarts int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, RestartCount: restarts, LastTerminationState: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: 128},
		}}
	}
	const wrapped, bare = `{"container":"main","features":["env","wrapper"]}`, `{"container":"main","features":["env"]}`
	cases := map[string]struct {
		annotation string
		init, main []corev1.ContainerStatus
		want       Verdict
	}{
		"not ours":                        {"", nil, []corev1.ContainerStatus{terminated("main", "Error", 9)}, Fine},
		"an annotation that is none":      {"x", nil, []corev1.ContainerStatus{terminated("main", "Error", 9)}, Fine},
		"running":                         {wrapped, nil, []corev1.ContainerStatus{{Name: "main"}}, Fine},
		"the init image can't be pulled":  {wrapped, []corev1.ContainerStatus{waiting(startup.InstallName, "ImagePullBackOff", "")}, nil, NoImage},
		"its signature is not trusted":    {wrapped, []corev1.ContainerStatus{waiting(startup.InstallName, "SignatureValidationFailed", "")}, nil, NoImage},
		"the model's image can't":         {wrapped, nil, []corev1.ContainerStatus{waiting("main", "ImagePullBackOff", "example.test/vllm")}, Fine},
		"the volume's image can't":        {wrapped, nil, []corev1.ContainerStatus{waiting("main", "ImagePullBackOff", "example.test/wrapper:1: gone")}, NoImage},
		"the volume can't be mounted":     {wrapped, nil, []corev1.ContainerStatus{waiting("main", "CreateContainerError", `failed to mount "coldtrace": idmap`)}, NoImage},
		"nor its image":                   {wrapped, nil, []corev1.ContainerStatus{waiting("main", "CreateContainerError", `mount /var/lib/containerd/image-volumes/9f: operation not permitted`)}, NoImage},
		"a command that is not there":     {wrapped, nil, []corev1.ContainerStatus{waiting("main", "CreateContainerError", `context deadline exceeded`)}, Fine},
		"a missing Secret":                {wrapped, nil, []corev1.ContainerStatus{waiting("main", "CreateContainerConfigError", `secret "x" not found`)}, Fine},
		"the init container can't be set": {wrapped, []corev1.ContainerStatus{waiting(startup.InstallName, "CreateContainerError", "")}, nil, NoStart},
		"a sidecar that serves crashes":   {wrapped, []corev1.ContainerStatus{terminated("main", "Error", 2)}, nil, Crashing},
		"the init container can't start":  {wrapped, []corev1.ContainerStatus{terminated(startup.InstallName, "StartError", 1)}, nil, NoStart},
		"the target can't start":          {wrapped, nil, []corev1.ContainerStatus{terminated("main", "StartError", 1)}, NoStart},
		"the target crashed once":         {wrapped, nil, []corev1.ContainerStatus{terminated("main", "Error", 1)}, Fine},
		"the target crashes":              {wrapped, nil, []corev1.ContainerStatus{terminated("main", "Error", 2)}, Crashing},
		"it crashes without the wrapper":  {bare, nil, []corev1.ContainerStatus{terminated("main", "Error", 2)}, SameBare},
		"another container crashes":       {wrapped, nil, []corev1.ContainerStatus{terminated("forwarder", "Error", 5)}, Fine},
		"it has no wrapper and no errors": {bare, nil, []corev1.ContainerStatus{{Name: "main"}}, Fine},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{}
			if c.annotation != "" {
				pod.Annotations = map[string]string{config.StatusAnnotation: c.annotation}
			}
			pod.Spec.Volumes = []corev1.Volume{{Name: "coldtrace", VolumeSource: corev1.VolumeSource{
				Image: &corev1.ImageVolumeSource{Reference: "example.test/wrapper:1"},
			}}}
			pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses = c.init, c.main
			if got := judge(pod); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAControllersEventTellsThatAPodWasRefusedForAVolume(t *testing.T) {
	const create = `Error creating: pods "x-" is forbidden: `
	for name, c := range map[string]struct {
		reason, kind, message string
		want                  bool
	}{
		"an admission policy of the API server": {"FailedCreate", "ReplicaSet", create + `ValidatingAdmissionPolicy 'types' with binding 'b' denied request: only secret and emptyDir volumes`, true},
		"a policy engine's webhook":             {"FailedCreate", "StatefulSet", `create Pod x-0 failed error: admission webhook "v.example" denied the request: rule restricted-volumes failed at path /spec/volumes/1/image/`, true},
		"security context constraints":          {"FailedCreate", "Job", create + `unable to validate against any security context constraint: provider r: .spec.volumes[1]: Invalid value: "image"`, true},
		"told with others":                      {"FailedCreate", "ReplicaSet", `(combined from similar events): ` + create + `volume types`, true},
		"a quota":                               {"FailedCreate", "ReplicaSet", create + `exceeded quota: q, requested: requests.nvidia.com/gpu=1`, false},
		"a claim that a quota refuses":          {"FailedCreate", "StatefulSet", `create Claim data-x-0 failed error: persistentvolumeclaims "data-x-0" is forbidden: exceeded quota: q`, false},
		"a range":                               {"FailedCreate", "ReplicaSet", create + `minimum cpu usage per Container is 1, but request is 50m`, false},
		"an API server that is away":            {"FailedCreate", "ReplicaSet", `Error creating: Post "https://10.0.0.1/": volume of requests`, false},
		"a pod's own event":                     {"FailedMount", "Pod", `volume "data" is forbidden`, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := &corev1.Event{Reason: c.reason, Message: c.message, InvolvedObject: corev1.ObjectReference{Kind: c.kind}}
			if got := refusesVolume(e); got != c.want {
				t.Errorf("%t, want %t", got, c.want)
			}
		})
	}
}

func TestAControllersEventTellsThatAPodWasRefusedForTheWrapper(t *testing.T) {
	const create, denied = `Error creating: pods "x-" is forbidden: `, `Error creating: admission webhook "v.example" denied the request: `
	for name, c := range map[string]struct {
		message         string
		wrapper, volume bool
	}{
		"registries that are not allowed":   {denied + `[repos] container <coldtrace-install> has an invalid image repo <other.example/w:1>`, true, false},
		"a signature":                       {denied + `failed to verify image other.example/w:1: no signatures found`, true, false},
		"a rule's path":                     {denied + `rule limits failed at path /spec/initContainers/0/resources/limits/`, true, false},
		"a level of Pod Security":           {create + `violates PodSecurity "x": seccompProfile (container "coldtrace-install" must set it)`, true, false},
		"the init container's volume mount": {denied + `container coldtrace-install has a volumeMount that is not read-only`, true, false},
		"a range on GPUs":                   {create + `minimum nvidia.com/gpu usage per Container is 1.  No request is specified`, true, false},
		"a quota that wants limits of all":  {create + `failed quota: q: must specify limits.cpu for: coldtrace-install`, true, false},
		"the volume":                        {create + `ValidatingAdmissionPolicy 'types' denied request: only emptyDir volumes`, false, true},
		"an image volume":                   {create + `"image": image volumes are not allowed to be used`, true, true},
		"a quota that is used up":           {create + `exceeded quota: images, requested: requests.nvidia.com/gpu=1`, false, false},
		"somebody else's matter":            {denied + `the label team is missing`, false, false},
		"an image that is not there":        {`Failed to pull image`, false, false},
	} {
		e := &corev1.Event{Reason: "FailedCreate", Message: c.message, InvolvedObject: corev1.ObjectReference{Kind: "ReplicaSet"}}
		if wrapper, volume := refusesWrapper(e), refusesVolume(e); wrapper != c.wrapper || volume != c.volume {
			t.Errorf("%s: for the wrapper %t, want %t; for its volume %t, want %t", name, wrapper, c.wrapper, volume, c.volume)
		}
	}
}

// One refusal is enough for its owner, many are no reason to go without elsewhere.
func TestARefusalIsForItsOwnerAlone(t *testing.T) {
	var s State
	for i := range 2 * openFor {
		owner := nameOf("ns", nil, "ReplicaSet", strconv.Itoa(i))
		if _, opened, all := s.observe(&report{workload: owner, pod: "event", verdict: Refused}, begin); !opened || all || !s.isOpen(owner) {
			t.Errorf("%d: opened %t, for all %t", i, opened, all)
		}
	}
	if s.isOpen("ns/ReplicaSet/another") {
		t.Error("open for others")
	}
	s.expire(begin.Add(reset))
	if s.isOpen("ns/ReplicaSet/0") {
		t.Error("not tried again")
	}
}

func TestANamespaceWithoutImageVolumesIsKnownUntilSomebodyForgetsIt(t *testing.T) {
	var s State
	if !s.refuse("a", begin) || s.refuse("a", begin) || s.NoImageVolume("a") == "" || s.NoImageVolume("b") != "" {
		t.Errorf("%+v", s)
	}
	s.expire(begin.Add(30 * 24 * time.Hour))
	if s.NoImageVolume("a") == "" {
		t.Error("the policy is there still: to try again would cost a pod")
	}
	for i := range maxOwners + 10 {
		s.refuse(strconv.Itoa(i), begin)
	}
	if len(s.Refused) > maxOwners {
		t.Errorf("%d namespaces", len(s.Refused))
	}
}
