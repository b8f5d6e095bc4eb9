package core

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

var (
	// probe is what holds for all kinds of probes.
	probe = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.Probe](
			rules.At("httpGet", rules.Fill(fillHTTPGet)),
			rules.At("grpc.service", rules.Default("")),
			rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.Probe) {
				checkHandler(c, handler{exec: v.Exec, httpGet: v.HTTPGet, tcpSocket: v.TCPSocket, grpc: v.GRPC})
			})),
			rules.At("initialDelaySeconds", rules.NonNegative()),
			rules.At("timeoutSeconds", rules.Default(1), rules.NonNegative()),
			rules.At("periodSeconds", rules.Default(10), rules.NonNegative()),
			rules.At("successThreshold", rules.Default(1), rules.NonNegative()),
			rules.At("failureThreshold", rules.Default(3), rules.NonNegative()),
			rules.At("terminationGracePeriodSeconds", rules.Positive()),
		)
	})
	lifecycle = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.Lifecycle](
			rules.At("postStart.httpGet", rules.Fill(fillHTTPGet)),
			rules.At("preStop.httpGet", rules.Fill(fillHTTPGet)),
			rules.At("postStart", rules.Check(checkHook)),
			rules.At("preStop", rules.Check(checkHook)),
		)
	})
	execAction = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.ExecAction](rules.At("command", rules.Required()))
	})
	httpGetAction = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.HTTPGetAction](
			rules.At("path", rules.Required()),
			rules.At("port", PortNumberOrName()),
			rules.At("scheme", rules.Enum(corev1.URISchemeHTTP, corev1.URISchemeHTTPS)),
			rules.At("httpHeaders", rules.Check(checkHeaders)),
		)
	})
	tcpSocketAction = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.TCPSocketAction](rules.At("port", PortNumberOrName()))
	})
	grpcAction = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.GRPCAction](rules.At("port", rules.Port()))
	})
	sleepAction = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.SleepAction](rules.At("", rules.Check(checkSleep)))
	})
)

func fillHTTPGet(v *corev1.HTTPGetAction) {
	if v.Path == "" {
		v.Path = "/"
	}
	if v.Scheme == "" {
		v.Scheme = corev1.URISchemeHTTP
	}
}

// PortNumberOrName asks for the number of a port or for what may be the name of one.
func PortNumberOrName() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *intstr.IntOrString) {
		if v.Type == intstr.String {
			for _, m := range utilvalidation.IsValidPortName(v.StrVal) {
				c.Add(field.Invalid(c.Path(), v.StrVal, m))
			}
			return
		}
		for _, m := range utilvalidation.IsValidPortNum(v.IntValue()) {
			c.Add(field.Invalid(c.Path(), v.IntValue(), m))
		}
	})
}

func checkHeaders(c *rules.Checker, v, _ *[]corev1.HTTPHeader) {
	for i := range *v {
		for _, m := range utilvalidation.IsHTTPHeaderName((*v)[i].Name) {
			c.Add(field.Invalid(c.Path(), (*v)[i].Name, m))
		}
	}
}

// checkSleep asks for a pause that fits into the time in which the pod has to end.
func checkSleep(c *rules.Checker, v, _ *corev1.SleepAction) {
	spec, _ := rules.Within[corev1.PodSpec](c)
	grace := spec.TerminationGracePeriodSeconds
	if grace != nil && (v.Seconds < 0 || v.Seconds > *grace) {
		c.Add(field.Invalid(c.Path(), v.Seconds,
			fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", *grace)))
	}
}

// handler is what a probe or a hook does. One of the fields is set.
type handler struct {
	exec      *corev1.ExecAction
	httpGet   *corev1.HTTPGetAction
	tcpSocket *corev1.TCPSocketAction
	grpc      *corev1.GRPCAction
	sleep     *corev1.SleepAction
}

func checkHook(c *rules.Checker, v, _ *corev1.LifecycleHandler) {
	checkHandler(c, handler{exec: v.Exec, httpGet: v.HTTPGet, tcpSocket: v.TCPSocket, sleep: v.Sleep})
}

// checkHandler asks for one action. Only the first is looked into where there are several.
func checkHandler(c *rules.Checker, h handler) {
	n := 0
	n += checkAction(c, "exec", n, execAction, h.exec)
	n += checkAction(c, "httpGet", n, httpGetAction, h.httpGet)
	n += checkAction(c, "tcpSocket", n, tcpSocketAction, h.tcpSocket)
	n += checkAction(c, "grpc", n, grpcAction, h.grpc)
	n += checkAction(c, "sleep", n, sleepAction, h.sleep)
	if n == 0 {
		c.Add(field.Required(c.Path(), "must specify a handler type"))
	}
}

// checkAction returns how many actions it has seen.
func checkAction[T any](c *rules.Checker, name string, before int, table func() *rules.Set, v *T) int {
	switch {
	case v == nil:
		return 0
	case before > 0:
		c.Add(field.Forbidden(c.At(name), "may not specify more than 1 handler type"))
	default:
		rules.In(c, table(), v, nil, name)
	}
	return 1
}

// checkProbes are the rules of the probes and hooks of a container that runs as long as the pod does.
func checkProbes(c *rules.Checker, ctr, _ *corev1.Container) {
	if l := ctr.Lifecycle; l != nil {
		rules.In(c, lifecycle(), l, nil, "lifecycle")
	}
	if p := ctr.LivenessProbe; p != nil {
		rules.In(c, probe(), p, nil, "livenessProbe")
		checkOneSuccess(c, p, "livenessProbe")
	}
	if p := ctr.ReadinessProbe; p != nil {
		rules.In(c, probe(), p, nil, "readinessProbe")
		if p.TerminationGracePeriodSeconds != nil {
			c.Add(field.Invalid(c.At("readinessProbe", "terminationGracePeriodSeconds"), *p.TerminationGracePeriodSeconds,
				"must not be set for readinessProbes"))
		}
	}
	if p := ctr.StartupProbe; p != nil {
		rules.In(c, probe(), p, nil, "startupProbe")
		checkOneSuccess(c, p, "startupProbe")
	}
}

func checkOneSuccess(c *rules.Checker, p *corev1.Probe, name string) {
	if p.SuccessThreshold != 1 {
		c.Add(field.Invalid(c.At(name, "successThreshold"), p.SuccessThreshold, "must be 1"))
	}
}
