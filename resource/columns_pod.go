package resource

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podColumns() *columns {
	definitions := append([]Column{
		nameColumn(),
		textColumn("Ready", "The aggregate readiness state of this pod for accepting traffic."),
		textColumn("Status", "The aggregate status of the containers in this pod."),
		textColumn("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
		ageColumn(),
	}, wideColumns(
		textColumn("IP", documented(corev1.PodStatus{}, "podIP")),
		textColumn("Node", documented(corev1.PodSpec{}, "nodeName")),
		textColumn("Nominated Node", documented(corev1.PodStatus{}, "nominatedNodeName")),
		textColumn("Readiness Gates", documented(corev1.PodSpec{}, "readinessGates")),
	)...)
	c := rowsOf(podCells, definitions...)
	c.Conditions = func(o Object) []metav1.TableRowCondition { return podConditions(o.(*corev1.Pod)) }
	return c
}

// podConditions marks the rows of pods that are over, so that clients can leave them out.
func podConditions(p *corev1.Pod) []metav1.TableRowCondition {
	var message string
	switch p.Status.Phase {
	case corev1.PodSucceeded:
		message = "The pod has completed successfully."
	case corev1.PodFailed:
		message = "The pod failed."
	default:
		return nil
	}
	return []metav1.TableRowCondition{{
		Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: string(p.Status.Phase), Message: message,
	}}
}

func podCells(p *corev1.Pod) []any {
	s := summarizePod(p)
	ip := p.Status.PodIP
	if ip == "" && len(p.Status.PodIPs) > 0 {
		ip = p.Status.PodIPs[0].IP
	}
	return []any{
		p.Name, fmt.Sprintf("%d/%d", s.ready, s.total), s.status, s.restarts.cell(), ageOf(p),
		orText(ip, none), orText(p.Spec.NodeName, none), orText(p.Status.NominatedNodeName, none), readinessGates(p),
	}
}

// readinessGates counts the gates whose condition is true.
func readinessGates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return none
	}
	open := 0
	for _, g := range p.Spec.ReadinessGates {
		if podConditionIs(p, g.ConditionType) {
			open++
		}
	}
	return fmt.Sprintf("%d/%d", open, len(p.Spec.ReadinessGates))
}

// podConditionIs reports whether the first condition of the type is true.
func podConditionIs(p *corev1.Pod, t corev1.PodConditionType) bool {
	i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == t })
	return i >= 0 && p.Status.Conditions[i].Status == corev1.ConditionTrue
}

// restarts counts restarts and remembers when the last one was.
type restarts struct {
	count int32
	last  time.Time
}

func (r *restarts) add(c corev1.ContainerStatus) {
	r.count += c.RestartCount
	if t := c.LastTerminationState.Terminated; t != nil && t.FinishedAt.After(r.last) {
		r.last = t.FinishedAt.Time
	}
}

func (r restarts) cell() any {
	count := strconv.Itoa(int(r.count))
	if r.count == 0 || r.last.IsZero() {
		return count
	}
	return age{t: r.last, before: count + " (", after: " ago)"}
}

// podSummary is a pod in one line.
type podSummary struct {
	ready, total int
	status       string
	restarts     restarts
}

// summarizePod finds the one word that tells what a pod is doing. From the weakest to the strongest these have a say: the
// phase, the reason beside it, a scheduling gate, an init container that is not through, the containers (once initialized), and deletion.
func summarizePod(p *corev1.Pod) podSummary {
	s := podSummary{total: len(p.Spec.Containers), status: orText(p.Status.Reason, string(p.Status.Phase))}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			s.status = corev1.PodReasonSchedulingGated
		}
	}
	sidecars := make(map[string]bool)
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars[c.Name] = true
			s.total++
		}
	}
	initializing := s.addInitContainers(p, sidecars)
	if !initializing || podConditionIs(p, corev1.PodInitialized) {
		s.addContainers(p)
	}
	if p.DeletionTimestamp != nil {
		switch over := p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded; {
		case p.Status.Reason == "NodeLost":
			s.status = unknownStatus
		case !over:
			s.status = "Terminating"
		}
	}
	return s
}

// unknownStatus is what a pod on an unreachable node and a node without a ready condition show.
const unknownStatus = "Unknown"

// addInitContainers goes through the init containers up to the first that is not through, and reports whether there is one. While
// there is, its restarts and those before it count; afterwards only those of sidecars do.
func (s *podSummary) addInitContainers(p *corev1.Pod, sidecars map[string]bool) (initializing bool) {
	var all, ofSidecars restarts
	for i, c := range p.Status.InitContainerStatuses {
		all.add(c)
		if sidecars[c.Name] {
			ofSidecars.add(c)
		}
		ended, waiting := c.State.Terminated, c.State.Waiting
		switch {
		case ended != nil && ended.ExitCode == 0:
			continue
		case sidecars[c.Name] && c.Started != nil && *c.Started:
			if c.Ready {
				s.ready++
			}
			continue
		case ended != nil:
			s.status = "Init:" + exitReason(ended)
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
			s.status = "Init:" + waiting.Reason
		default:
			s.status = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		initializing = true
		break
	}
	if s.restarts = all; !initializing || podConditionIs(p, corev1.PodInitialized) {
		s.restarts = ofSidecars
	}
	return initializing
}

// addContainers lets the containers have their say, the first one the last word.
func (s *podSummary) addContainers(p *corev1.Pod) {
	running, failure := false, ""
	for _, c := range slices.Backward(p.Status.ContainerStatuses) {
		s.restarts.add(c)
		ended, waiting := c.State.Terminated, c.State.Waiting
		switch {
		case waiting != nil && waiting.Reason != "":
			s.status = waiting.Reason
		case ended != nil:
			s.status = exitReason(ended)
			if ended.ExitCode != 0 {
				failure = s.status
			}
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.status != "Completed" {
		return
	}
	// One container that is done does not make a pod that is done.
	ready := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	switch {
	case running && ready:
		s.status = "Running"
	case failure != "":
		s.status = failure
	case running:
		s.status = "NotReady"
	}
}

// exitReason is why a container ended: the stated reason, else the signal, else the exit code.
func exitReason(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	default:
		return fmt.Sprintf("ExitCode:%d", t.ExitCode)
	}
}
