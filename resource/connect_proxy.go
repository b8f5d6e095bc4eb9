//lint:file-ignore SA1019 Endpoints are deprecated for clients; what a Service leads to is decided by them, as in kube-apiserver.

package resource

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/backend"
)

// asked splits the name in a path to a proxy, [scheme:]name[:port]. kind names it in the error.
func (c *connecting) asked(kind string) (scheme, name, port string, err error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(c.info.Name)
	if !ok {
		return "", "", "", api.BadRequest("invalid %s request %q", kind, c.info.Name)
	}
	if scheme == "" {
		scheme = "http"
	}
	return scheme, name, port, nil
}

func (c *connecting) pod() (backend.Target, error) {
	scheme, name, port, err := c.asked("pod")
	if err != nil {
		return backend.Target{}, err
	}
	pod, err := named[*corev1.Pod](c, "pods", name)
	if err != nil {
		return backend.Target{}, err
	}
	if port == "" {
		port = firstPort(pod)
	}
	if len(pod.Status.PodIPs) == 0 {
		return backend.Target{}, errNoAddress()
	}
	ip := pod.Status.PodIPs[0].IP
	if err := checkPodIP(ip); err != nil {
		return backend.Target{}, err
	}
	return backend.Target{Scheme: scheme, Host: ip, Port: port}, nil
}

func firstPort(pod *corev1.Pod) string {
	for i := range pod.Spec.Containers {
		if ports := pod.Spec.Containers[i].Ports; len(ports) > 0 {
			return strconv.Itoa(int(ports[0].ContainerPort))
		}
	}
	return ""
}

// errNoAddress is what a client is told of an address that it cannot be connected to, whatever is wrong with it.
func errNoAddress() error { return api.BadRequest("address not allowed") }

// checkPodIP refuses what no pod has for an address. The proxy checks once more, for all targets alike.
func checkPodIP(ip string) error {
	if addr, err := netip.ParseAddr(ip); err != nil || !addr.IsGlobalUnicast() {
		return errNoAddress()
	}
	return nil
}

// checkHost refuses what is neither an address nor a name: it becomes a part of a URL.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	strange := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	}
	if host == "" || len(host) > maxPathName || strings.ContainsFunc(host, strange) {
		return errNoAddress()
	}
	return nil
}

// node finds a port of a node. The kubelet's own is connected to as the kubelet, with this server's certificate, any other without.
func (c *connecting) node() (backend.Target, error) {
	scheme, name, port, err := c.asked("node")
	if err != nil {
		return backend.Target{}, err
	}
	target, _, err := c.kubelet(name)
	if err != nil {
		return backend.Target{}, err
	}
	target.NoLoopback = true
	if port != "" && port != target.Port {
		target = backend.Target{Scheme: scheme, Host: target.Host, Port: port}
	}
	return target, nil
}

// service picks a ready endpoint of a service, of those that are pods of its namespace: an endpoint is an address that somebody wrote
// down, and only the status of a pod says that the pod has it.
func (c *connecting) service() (backend.Target, error) {
	scheme, name, port, err := c.asked("service")
	if err != nil {
		return backend.Target{}, err
	}
	if number, err := strconv.ParseInt(port, 10, 64); err == nil {
		if port, err = c.portName(name, number); err != nil {
			return backend.Target{}, err
		}
	}
	endpoints, err := named[*corev1.Endpoints](c, "endpoints", name)
	if err != nil {
		return backend.Target{}, err
	}
	if len(endpoints.Subsets) == 0 {
		return backend.Target{}, api.Unavailable("no endpoints available for service %q", name)
	}
	subsets := slices.Clone(endpoints.Subsets)
	rand.Shuffle(len(subsets), func(i, j int) { subsets[i], subsets[j] = subsets[j], subsets[i] })
	for i := range subsets {
		for _, p := range subsets[i].Ports {
			if p.Name != port {
				continue
			}
			if ip, ok := c.endpoint(subsets[i].Addresses); ok {
				return backend.Target{
					Scheme: scheme, Host: ip, Port: strconv.Itoa(int(p.Port)), ServerName: fmt.Sprintf("%s.%s.svc", name, c.info.Namespace),
				}, nil
			}
		}
	}
	return backend.Target{}, api.Unavailable("no endpoints available for service %q", c.info.Name)
}

// portName is the name of a port of a service that is asked for by number.
func (c *connecting) portName(service string, number int64) (string, error) {
	svc, err := named[*corev1.Service](c, "services", service)
	if err != nil {
		return "", err
	}
	for _, p := range svc.Spec.Ports {
		if int64(p.Port) == number {
			return p.Name, nil
		}
	}
	return "", api.Unavailable("no service port %d found for service %q", number, service)
}

// endpoint picks one of the addresses that is a pod's, by chance.
func (c *connecting) endpoint(addresses []corev1.EndpointAddress) (string, bool) {
	for _, i := range rand.Perm(len(addresses)) {
		a := addresses[i]
		if a.TargetRef == nil || a.TargetRef.Namespace != c.info.Namespace {
			continue
		}
		pod, err := named[*corev1.Pod](c, "pods", a.TargetRef.Name)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(pod.Status.PodIPs, func(ip corev1.PodIP) bool { return ip.IP == a.IP }) {
			return a.IP, true
		}
	}
	return "", false
}
