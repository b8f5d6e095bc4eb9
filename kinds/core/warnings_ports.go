package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxCompared bounds how many of a list are compared with each other for a warning, so that the work stays small for a list of any length.
const maxCompared = 1000

// portPlace is a port and where it stands.
type portPlace struct {
	at   *field.Path
	port *corev1.ContainerPort
}

// ports is for ports that are in each other's way.
func (w warnings) ports() {
	type number struct {
		port     int32
		protocol corev1.Protocol
	}
	var all []portPlace
	eachContainer(w.spec, func(list string, i int, ctr *corev1.Container) {
		for j := range ctr.Ports {
			all = append(all, portPlace{w.at(list).Index(i).Child("ports").Index(j), &ctr.Ports[j]})
		}
	})
	same := make(map[number][]portPlace, len(all))
	for _, p := range all {
		if p.port.HostIP != "" && p.port.HostPort == 0 {
			w.of(p.at, "hostIP set without hostPort: %s", describePort(p.port))
		}
		key := number{p.port.ContainerPort, p.port.Protocol}
		for _, other := range same[key] {
			if how := collision(p.port, other.port); how != "" {
				w.of(p.at, "%s port definition with %s", how, other.at)
			}
		}
		if len(same[key]) < maxCompared {
			same[key] = append(same[key], p)
		}
	}
	named := make(map[string]*field.Path, len(all))
	for _, p := range all {
		if p.port.Name == "" {
			continue
		}
		if other := named[p.port.Name]; other != nil {
			w.of(p.at, "duplicate port name %q with %s, services and probes that select ports by name will use %s", p.port.Name, other, other)
		} else {
			named[p.port.Name] = p.at
		}
	}
}

// collision tells how two ports with the same number collide, if they do.
func collision(a, b *corev1.ContainerPort) string {
	switch {
	case a.HostIP == b.HostIP && a.HostPort == b.HostPort:
		return "duplicate"
	case a.HostPort == 0 || b.HostPort == 0:
		return "overlapping"
	case a.HostPort == b.HostPort && (a.HostIP == "") != (b.HostIP == ""):
		return "dangerously ambiguous"
	}
	return ""
}

func describePort(p *corev1.ContainerPort) string {
	return fmt.Sprintf("{Name:%s HostPort:%d ContainerPort:%d Protocol:%s HostIP:%s}", p.Name, p.HostPort, p.ContainerPort, p.Protocol, p.HostIP)
}
