package network

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

func checkTargetPort(c *rules.Checker, v, _ *intstr.IntOrString) {
	if v.Type == intstr.Int {
		for _, msg := range utilvalidation.IsValidPortNum(v.IntValue()) {
			c.Add(field.Invalid(c.Path(), v.IntValue(), msg))
		}
		return
	}
	for _, msg := range utilvalidation.IsValidPortName(v.StrVal) {
		c.Add(field.Invalid(c.Path(), v.StrVal, msg))
	}
}

// checkPortNames asks for names where there are several ports, and for different ones.
func checkPortNames(c *rules.Checker, v, _ *[]corev1.ServicePort) {
	if len(*v) < 2 {
		return
	}
	seen := make(map[string]bool, len(*v))
	for i := range *v {
		name := (*v)[i].Name
		switch {
		case name == "":
			c.Add(field.Required(c.Path().Index(i).Child("name"), ""))
		case seen[name]:
			c.Add(field.Duplicate(c.Path().Index(i).Child("name"), name))
		}
		seen[name] = true
	}
}

// checkPorts refuses node ports where the type has none, and ports that are there twice.
func checkPorts(c *rules.Checker, v, _ *corev1.ServiceSpec) {
	type key struct {
		protocol corev1.Protocol
		port     int32
	}
	at := func(i int) *field.Path { return c.At("ports").Index(i) }
	for i := range v.Ports {
		if v.Type == corev1.ServiceTypeClusterIP && v.Ports[i].NodePort != 0 {
			c.Add(field.Forbidden(at(i).Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
	}
	if len(v.Ports) < 2 {
		return
	}
	nodePorts, ports := map[key]bool{}, map[key]bool{}
	for i := range v.Ports {
		p := &v.Ports[i]
		if k := (key{p.Protocol, p.NodePort}); p.NodePort != 0 {
			if nodePorts[k] {
				c.Add(field.Duplicate(at(i).Child("nodePort"), p.NodePort))
			}
			nodePorts[k] = true
		}
	}
	for i := range v.Ports {
		p := &v.Ports[i]
		k := key{p.Protocol, p.Port}
		if ports[k] {
			c.Add(field.Duplicate(at(i), rules.Shown(corev1.ServicePort{Protocol: p.Protocol, Port: p.Port})))
		}
		ports[k] = true
	}
}
