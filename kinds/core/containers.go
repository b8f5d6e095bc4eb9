package core

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

var (
	// regular, initial and ephemeral are what the lists of a pod ask of their containers beyond what holds in all of them.
	regular = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.Container](
			rules.At("", rules.Check(checkProbes)),
			rules.At("", rules.Check(checkRestartRules)),
		)
	})
	restarts = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.Container](rules.At("", rules.Check(checkInitRestart)))
	})
	initial = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.Container](rules.At("", rules.Check(checkInitial)))
	})
	ephemeral = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.EphemeralContainer](rules.At("", rules.Check(checkEphemeral)))
	})
)

func fillContainers(list *[]corev1.Container) {
	for i := range *list {
		rules.FillIn(container(), &(*list)[i])
	}
}

func fillEphemeralContainers(list *[]corev1.EphemeralContainer) {
	for i := range *list {
		rules.FillIn(container(), (*corev1.Container)(&(*list)[i].EphemeralContainerCommon))
	}
}

func checkContainers(c *rules.Checker, v, _ *[]corev1.Container) {
	if len(*v) == 0 {
		c.Add(field.Required(c.Path(), ""))
		return
	}
	names := make(map[string]bool, len(*v))
	for i := range *v {
		ctr := &(*v)[i]
		rules.InIndex(c, container(), ctr, nil, i)
		checkName(c, names, ctr.Name, i)
		rules.InIndex(c, regular(), ctr, nil, i)
	}
	ports := map[string]bool{}
	for i := range *v {
		checkHostPorts(c, ports, &(*v)[i], i)
	}
}

// checkName asks for names that no other container has.
func checkName(c *rules.Checker, taken map[string]bool, name string, i int) {
	if taken[name] {
		c.Add(field.Duplicate(c.Path().Index(i).Child("name"), name))
	}
	taken[name] = true
}

// checkHostPorts asks that containers which run at the same time do not want the same port of the node.
func checkHostPorts(c *rules.Checker, taken map[string]bool, ctr *corev1.Container, i int) {
	for j := range ctr.Ports {
		p := &ctr.Ports[j]
		if p.HostPort == 0 {
			continue
		}
		key := fmt.Sprintf("%s/%s/%d", p.Protocol, p.HostIP, p.HostPort)
		if taken[key] {
			c.Add(field.Duplicate(c.Path().Index(i).Child("ports").Index(j).Child("hostPort"), key))
		}
		taken[key] = true
	}
}

func checkInitContainers(c *rules.Checker, v, _ *[]corev1.Container) {
	if len(*v) == 0 {
		return
	}
	spec, _ := rules.Within[corev1.PodSpec](c)
	names := make(map[string]bool, len(*v)+len(spec.Containers))
	for i := range spec.Containers {
		names[spec.Containers[i].Name] = true
	}
	for i := range *v {
		ctr := &(*v)[i]
		rules.InIndex(c, container(), ctr, nil, i)
		rules.InIndex(c, restarts(), ctr, nil, i)
		empty := names[""]
		checkName(c, names, ctr.Name, i)
		names[""] = empty // Several without a name are not called duplicates of each other.
		// Init containers run one by one, so only their own ports can be in conflict. The reference gives the index 0 for each of them.
		checkHostPorts(c, map[string]bool{}, ctr, 0)
		rules.InIndex(c, initial(), ctr, nil, i)
	}
}

// checkInitial forbids probes and hooks to containers that are waited for. Those that go on running, the sidecars, may have them.
func checkInitial(c *rules.Checker, v, _ *corev1.Container) {
	if alwaysRestarts(v) {
		checkProbes(c, v, nil)
		return
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"lifecycle", v.Lifecycle != nil},
		{"livenessProbe", v.LivenessProbe != nil},
		{"readinessProbe", v.ReadinessProbe != nil},
		{"startupProbe", v.StartupProbe != nil},
	} {
		if f.set {
			c.Add(field.Forbidden(c.At(f.name), "may not be set for init containers without restartPolicy=Always"))
		}
	}
	for j, p := range v.ResizePolicy {
		if p.RestartPolicy == corev1.RestartContainer && !factsOf(c).exempt(restartingInitContainer, hasRestartingInitContainer) {
			c.Add(field.Invalid(c.At("resizePolicy").Index(j).Child("restartPolicy"), p.RestartPolicy,
				"must not be set to 'RestartContainer' for non-sidecar initContainers"))
		}
	}
}

func hasRestartingInitContainer(spec *corev1.PodSpec) bool {
	for i := range spec.InitContainers {
		for _, p := range spec.InitContainers[i].ResizePolicy {
			if p.RestartPolicy == corev1.RestartContainer && !alwaysRestarts(&spec.InitContainers[i]) {
				return true
			}
		}
	}
	return false
}

func checkEphemeralContainers(c *rules.Checker, v, _ *[]corev1.EphemeralContainer) {
	if len(*v) == 0 {
		return
	}
	spec, _ := rules.Within[corev1.PodSpec](c)
	others, names := map[string]bool{}, map[string]bool{}
	for i := range spec.Containers {
		others[spec.Containers[i].Name], names[spec.Containers[i].Name] = true, true
	}
	for i := range spec.InitContainers {
		others[spec.InitContainers[i].Name], names[spec.InitContainers[i].Name] = true, true
	}
	for i := range *v {
		ctr := &(*v)[i]
		rules.InIndex(c, container(), (*corev1.Container)(&ctr.EphemeralContainerCommon), nil, i)
		if len(ctr.Image) != len(strings.TrimSpace(ctr.Image)) {
			c.Add(padded(c.Path().Index(i).Child("image"), ctr.Image))
		}
		checkName(c, names, ctr.Name, i)
		if target := ctr.TargetContainerName; target != "" && !others[target] {
			c.Add(field.NotFound(c.Path().Index(i).Child("targetContainerName"), target))
		}
		rules.InIndex(c, ephemeral(), ctr, nil, i)
	}
}

func padded(p *field.Path, image string) *field.Error {
	return field.Invalid(p, image, "must not have leading or trailing whitespace")
}

// checkEphemeral forbids what a pod would have to rely on or to clean up, since an ephemeral container is there for looking around. What is
// not listed is forbidden, so that new fields are thought about first.
func checkEphemeral(c *rules.Checker, v, _ *corev1.EphemeralContainer) {
	s := reflect.ValueOf(&v.EphemeralContainerCommon).Elem()
	for i := range s.NumField() {
		name := s.Type().Field(i).Name
		if !allowedInEphemeral(name) && !s.Field(i).IsZero() {
			first, size := utf8.DecodeRuneInString(name)
			c.Add(field.Forbidden(c.At(string(unicode.ToLower(first))+name[size:]), "cannot be set for an Ephemeral Container"))
		}
	}
	for j, m := range v.VolumeMounts {
		if m.SubPath != "" {
			c.Add(field.Forbidden(c.At("volumeMounts").Index(j).Child("subPath"), "cannot be set for an Ephemeral Container"))
		}
		if m.SubPathExpr != "" {
			c.Add(field.Forbidden(c.At("volumeMounts").Index(j).Child("subPathExpr"), "cannot be set for an Ephemeral Container"))
		}
	}
}

func allowedInEphemeral(name string) bool {
	switch name {
	case "Name", "Image", "Command", "Args", "WorkingDir", "EnvFrom", "Env", "VolumeMounts", "VolumeDevices", "TerminationMessagePath",
		"TerminationMessagePolicy", "ImagePullPolicy", "SecurityContext", "Stdin", "StdinOnce", "TTY":
		return true
	}
	return false
}
