package services_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// TestServersShareARange lets two servers on one etcd race for all addresses and node ports there are. Neither sees what the other
// takes until it tries to take the same.
func TestServersShareARange(t *testing.T) {
	r := newRegistry(t, "10.1.0.0/28")
	r.blind = true
	ports := utilnet.PortRange{Base: 30000, Size: 14}
	var mu sync.Mutex
	var ips, nodePorts []string
	refused := 0
	var group sync.WaitGroup
	for server := range 2 {
		a := r.allocator(t, ports)
		for worker := range 5 {
			group.Go(func() {
				for i := range 2 {
					svc := service(fmt.Sprintf("s%d-%d-%d", server, worker, i), corev1.ServiceSpec{
						Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
					})
					finish, err := a.Allocate(t.Context(), svc, nil, false)
					mu.Lock()
					if err != nil {
						refused++
						if !strings.Contains(message(err), "range is full") {
							t.Errorf("refused with %v", err)
						}
					} else {
						ips = append(ips, svc.Spec.ClusterIP)
						nodePorts = append(nodePorts, fmt.Sprint(svc.Spec.Ports[0].NodePort))
						finish(t.Context(), true)
					}
					mu.Unlock()
				}
			})
		}
	}
	group.Wait()
	for what, got := range map[string][]string{"addresses": ips, "node ports": nodePorts} {
		slices.Sort(got)
		if len(got) != 14 || len(slices.Compact(got)) != 14 {
			t.Errorf("%s %v, want 14 different ones", what, got)
		}
	}
	if refused != 6 {
		t.Errorf("%d of 20 were refused, want 6", refused)
	}
	if n := len(r.taken(t)); n != 14 {
		t.Errorf("%d addresses are taken, want 14: what was refused is to leave nothing", n)
	}
}

// TestBands checks that addresses and ports are given from the upper part, and from the lower only when that is used up.
func TestBands(t *testing.T) {
	r := newRegistry(t, "10.1.0.0/27") // 30 addresses, of which .1 to .16 are the lower part
	a := r.allocator(t, utilnet.PortRange{Base: 30000, Size: 20})
	var ips []netip.Addr
	var ports []int32
	for i := range 20 {
		svc := create(t, a, service(fmt.Sprintf("s%d", i), corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		}))
		ips = append(ips, netip.MustParseAddr(svc.Spec.ClusterIP))
		ports = append(ports, svc.Spec.Ports[0].NodePort)
	}
	for i, ip := range ips {
		if upper := ip.Compare(netip.MustParseAddr("10.1.0.17")) >= 0; upper != (i < 14) {
			t.Errorf("address %d is %s", i, ip)
		}
	}
	for i, port := range ports {
		if upper := port >= 30016; upper != (i < 4) {
			t.Errorf("port %d is %d", i, port)
		}
	}
}
