package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/rules"
)

// podFacts is what rules inside a pod's specification need to know about the rest of it.
type podFacts struct {
	spec, old *corev1.PodSpec
	// standsAlone tells a pod from a template of pods.
	standsAlone bool
	// volumes are those with nothing wrong with them, by name, as far as they have been checked.
	volumes map[string]*corev1.Volume
	// claims are the names of the resource claims, in their order.
	claims map[string]bool
	stored map[exemption]bool
}

// exemption names a rule that came when there were pods already that break it. It does not hold for updates of such a pod.
type exemption int

const (
	unevenHugePages exemption = iota
	badAffinitySelector
	badNodeAffinityValue
	badSpreadSelector
	badSpreadKeys
	remoteTokenPath
	hostSysctl
	comparingToleration
	changePolicyInUse
	devicesInUserNamespace
	hostNetworkInUserNamespace
	restartingInitContainer
)

func factsOf(c *rules.Checker) *podFacts {
	return rules.Shared(c, func(spec, old *corev1.PodSpec) *podFacts {
		pod, _ := rules.Within[corev1.Pod](c)
		f := &podFacts{
			spec: spec, old: old, standsAlone: pod != nil,
			volumes: make(map[string]*corev1.Volume, len(spec.Volumes)),
			claims:  make(map[string]bool, len(spec.ResourceClaims)),
		}
		for i := range spec.ResourceClaims {
			if name := spec.ResourceClaims[i].Name; name != "" {
				f.claims[name] = true
			}
		}
		return f
	})
}

// exempt reports whether the stored specification breaks a rule already. The answer is found once.
func (f *podFacts) exempt(e exemption, breaks func(*corev1.PodSpec) bool) bool {
	if f == nil || f.old == nil {
		return false
	}
	known, ok := f.stored[e]
	if !ok {
		if f.stored == nil {
			f.stored = map[exemption]bool{}
		}
		known = breaks(f.old)
		f.stored[e] = known
	}
	return known
}

// hostUsers reports whether the pod runs in the user namespace of its node, as it does unless told otherwise.
func (f *podFacts) hostUsers() bool { return f.spec.HostUsers == nil || *f.spec.HostUsers }

// eachContainer calls f with every container and the list it stands in, in the order in which a pod starts them.
func eachContainer(spec *corev1.PodSpec, f func(list string, i int, ctr *corev1.Container)) {
	for i := range spec.InitContainers {
		f("initContainers", i, &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		f("containers", i, &spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		f("ephemeralContainers", i, (*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
}

// anyContainer reports whether a condition holds for one of the containers.
func anyContainer(spec *corev1.PodSpec, holds func(*corev1.Container) bool) bool {
	found := false
	eachContainer(spec, func(_ string, _ int, ctr *corev1.Container) { found = found || holds(ctr) })
	return found
}

// alwaysRestarts tells an init container that runs beside the others, a sidecar, from one that is waited for.
func alwaysRestarts(ctr *corev1.Container) bool {
	return ctr.RestartPolicy != nil && *ctr.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func isTrue(b *bool) bool { return b != nil && *b }
