package core

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// container is what holds for containers of all three lists of a pod.
var container = sync.OnceValue(func() *rules.Set {
	return rules.Of[corev1.Container](
		rules.At("", rules.Fill(fillPullPolicy)),
		rules.At("name", rules.Required(), label()),
		rules.At("image", rules.Required()),
		rules.At("terminationMessagePath", rules.Default(corev1.TerminationMessagePathDefault)),
		rules.At("terminationMessagePolicy", rules.Default(corev1.TerminationMessageReadFile), rules.Required(),
			rules.Enum(corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)),
		rules.At("ports", rules.Each(containerPort()), rules.Check(checkPortNames)),
		rules.At("env", rules.Each(envVar())),
		rules.At("envFrom", rules.Check(checkEnvFrom)),
		rules.At("volumeMounts", rules.Check(checkMounts)),
		rules.At("volumeDevices", rules.Check(checkDevices)),
		rules.At("imagePullPolicy", pullPolicy()),
		rules.At("resources", containerResources()),
		rules.At("resizePolicy", rules.Check(checkResizePolicy)),
		rules.At("securityContext", securityContext()),
		// The defaults of what only some containers may have; whether they do and what it must be is asked where the list is known.
		rules.At("livenessProbe", rules.Fill(func(p *corev1.Probe) { rules.FillIn(probe(), p) })),
		rules.At("readinessProbe", rules.Fill(func(p *corev1.Probe) { rules.FillIn(probe(), p) })),
		rules.At("startupProbe", rules.Fill(func(p *corev1.Probe) { rules.FillIn(probe(), p) })),
		rules.At("lifecycle", rules.Fill(func(l *corev1.Lifecycle) { rules.FillIn(lifecycle(), l) })),
	)
})

// fillPullPolicy pulls again what is called latest, since that name moves.
func fillPullPolicy(ctr *corev1.Container) {
	if ctr.ImagePullPolicy == "" {
		ctr.ImagePullPolicy = pullPolicyFor(ctr.Image)
	}
}

func pullPolicyFor(image string) corev1.PullPolicy {
	if imageTag(image) == latest {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func pullPolicy() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *corev1.PullPolicy) {
		switch *v {
		case corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
		case "":
			c.Add(field.Required(c.Path(), ""))
		default:
			c.Add(field.NotSupported(c.Path(), *v, []corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}))
		}
	})
}

func containerPort() *rules.Set {
	return rules.Of[corev1.ContainerPort](
		rules.At("name", rules.Optional(), rules.Format(utilvalidation.IsValidPortName)),
		rules.At("containerPort", rules.Required(), rules.Port()),
		rules.At("hostPort", rules.Optional(), rules.Port()),
		rules.At("protocol", rules.Default(corev1.ProtocolTCP), rules.Required(),
			rules.Enum(corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)),
	)
}

// checkPortNames asks that the ports of a container which have names have different ones.
func checkPortNames(c *rules.Checker, v, _ *[]corev1.ContainerPort) {
	seen := make(map[string]bool, len(*v))
	for i := range *v {
		name := (*v)[i].Name
		if name == "" || len(utilvalidation.IsValidPortName(name)) > 0 {
			continue
		}
		if seen[name] {
			c.Add(field.Duplicate(c.Path().Index(i).Child("name"), name))
		}
		seen[name] = true
	}
}

// checkResizePolicy asks for one policy per resource. A pod that does not restart containers cannot have one that does.
func checkResizePolicy(c *rules.Checker, v, _ *[]corev1.ContainerResizePolicy) {
	spec, _ := rules.Within[corev1.PodSpec](c)
	seen := map[corev1.ResourceName]bool{}
	for i, p := range *v {
		if seen[p.ResourceName] {
			c.Add(field.Duplicate(c.Path().Index(i), p.ResourceName))
		}
		seen[p.ResourceName] = true
		switch p.ResourceName {
		case corev1.ResourceCPU, corev1.ResourceMemory:
		case "":
			c.Add(field.Required(c.Path(), ""))
		default:
			c.Add(field.NotSupported(c.Path(), p.ResourceName, []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}))
		}
		switch p.RestartPolicy {
		case corev1.NotRequired, corev1.RestartContainer:
		case "":
			c.Add(field.Required(c.Path(), ""))
		default:
			c.Add(field.NotSupported(c.Path(), p.RestartPolicy,
				[]corev1.ResourceResizeRestartPolicy{corev1.NotRequired, corev1.RestartContainer}))
		}
		if spec.RestartPolicy == corev1.RestartPolicyNever && p.RestartPolicy != corev1.NotRequired {
			c.Add(field.Invalid(c.Path(), p.RestartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
		}
	}
}
