package services_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/gatehouse/gatehouse/services"
)

// TestCreate holds the answers that the reference gives, word for word.
func TestCreate(t *testing.T) {
	single, prefer, require := ptr(corev1.IPFamilyPolicySingleStack), ptr(corev1.IPFamilyPolicyPreferDualStack), ptr(corev1.IPFamilyPolicyRequireDualStack)
	v4, v6 := corev1.IPv4Protocol, corev1.IPv6Protocol
	tests := []struct {
		name  string
		cidrs []string
		spec  corev1.ServiceSpec
		want  string // the message, after the name of the Service
		ips   []string
	}{
		{
			"an address of the lower part", nil, corev1.ServiceSpec{ClusterIP: "10.0.0.5"}, "", []string{"10.0.0.5"},
		},
		{
			"an address that another one has", nil,
			corev1.ServiceSpec{ClusterIP: "10.0.0.1"},
			`spec.clusterIPs: Invalid value: ["10.0.0.1"]: failed to allocate IP 10.0.0.1: provided IP is already allocated`, nil,
		},
		{
			"an address of no range", nil,
			corev1.ServiceSpec{ClusterIP: "10.1.0.5"},
			`spec.clusterIPs: Invalid value: ["10.1.0.5"]: failed to allocate IP 10.1.0.5: the provided network does not match the current range`, nil,
		},
		{
			"the broadcast address", nil,
			corev1.ServiceSpec{ClusterIP: "10.0.0.255"},
			`spec.clusterIPs: Invalid value: ["10.0.0.255"]: failed to allocate IP 10.0.0.255: the provided network does not match the current range`, nil,
		},
		{
			"a family that the cluster does not have", nil,
			corev1.ServiceSpec{ClusterIP: "fd00::5"},
			`spec.clusterIPs[0]: Invalid value: ["fd00::5"]: IPv6 is not configured on this cluster`, nil,
		},
		{
			"two families in a cluster of one", nil,
			corev1.ServiceSpec{IPFamilyPolicy: require, Selector: map[string]string{"a": "b"}},
			`spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services`, nil,
		},
		{
			"clusterIPs that contradict clusterIP", nil,
			corev1.ServiceSpec{ClusterIP: "10.0.0.6", ClusterIPs: []string{"10.0.0.7"}},
			"spec.clusterIPs: Invalid value: [\"10.0.0.7\"]: first value must match `clusterIP`", nil,
		},
		{
			"clusterIPs alone", nil,
			corev1.ServiceSpec{ClusterIPs: []string{"10.0.0.7"}},
			"spec.clusterIPs: Invalid value: [\"10.0.0.7\"]: must be empty when `clusterIP` is not specified", nil,
		},
		{
			"None is no address", nil, corev1.ServiceSpec{ClusterIP: "None", Selector: map[string]string{"a": "b"}}, "", []string{"None"},
		},
		{
			"two addresses with the policy for one",
			[]string{"10.0.0.0/24", "fd00::/112"},
			corev1.ServiceSpec{ClusterIP: "10.0.0.6", ClusterIPs: []string{"10.0.0.6", "fd00::6"}},
			`spec.ipFamilyPolicy: Invalid value: "SingleStack": must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified`, nil,
		},
		{
			"one of two addresses is taken and the other is given back",
			[]string{"10.0.0.0/24", "fd00::/112"},
			corev1.ServiceSpec{IPFamilyPolicy: require, ClusterIP: "10.0.0.7", ClusterIPs: []string{"10.0.0.7", "fd00::1"}},
			`spec.clusterIPs: Invalid value: ["10.0.0.7","fd00::1"]: failed to allocate IP fd00::1: provided IP is already allocated`, nil,
		},
		{
			"the last address of IPv6 is one to give",
			[]string{"10.0.0.0/24", "fd00::/112"},
			corev1.ServiceSpec{IPFamilies: []corev1.IPFamily{v6}, ClusterIP: "fd00::ffff"},
			"",
			[]string{"fd00::ffff"},
		},
		{
			"families in the order asked for",
			[]string{"10.0.0.0/24", "fd00::/112"},
			corev1.ServiceSpec{
				IPFamilyPolicy: prefer, IPFamilies: []corev1.IPFamily{v6, v4}, ClusterIP: "fd00::4", ClusterIPs: []string{"fd00::4", "10.0.0.5"},
			},
			"",
			[]string{"fd00::4", "10.0.0.5"},
		},
		{
			"a preference in a cluster of one family", nil,
			corev1.ServiceSpec{IPFamilyPolicy: prefer, ClusterIP: "10.0.0.9"},
			"",
			[]string{"10.0.0.9"},
		},
		{
			"families with the policy for one", nil,
			corev1.ServiceSpec{IPFamilyPolicy: single, IPFamilies: []corev1.IPFamily{v4, v6}},
			`spec.ipFamilyPolicy: Invalid value: "SingleStack": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified`, nil,
		},
		{"the name of something outside", nil, corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cidrs == nil {
				tt.cidrs = []string{"10.0.0.0/24"}
			}
			r := newRegistry(t, tt.cidrs...)
			a := r.allocator(t, defaultPorts())
			first := corev1.ServiceSpec{ClusterIP: "10.0.0.1"}
			if len(tt.cidrs) == 2 {
				first.IPFamilyPolicy, first.ClusterIPs = require, []string{"10.0.0.1", "fd00::1"}
			}
			create(t, a, service("first", first))
			before := r.taken(t)
			svc := service("x", tt.spec)
			finish, err := a.Allocate(t.Context(), svc, nil, false)
			want := tt.want
			if want != "" {
				want = `Service "x" is invalid: ` + want
			}
			if diff := cmp.Diff(want, message(err)); diff != "" {
				t.Fatalf("message (-want +got):\n%s", diff)
			}
			if err == nil {
				if diff := cmp.Diff(tt.ips, svc.Spec.ClusterIPs); diff != "" {
					t.Errorf("clusterIPs (-want +got):\n%s", diff)
				}
				finish(t.Context(), false)
			}
			if diff := cmp.Diff(before, r.taken(t)); diff != "" {
				t.Errorf("a write that did not happen left addresses (-before +after):\n%s", diff)
			}
		})
	}
}

func tcp(port, nodePort int32) corev1.ServicePort {
	return corev1.ServicePort{Name: time.Duration(port).String(), Protocol: corev1.ProtocolTCP, Port: port, NodePort: nodePort}
}

func udp(port, nodePort int32) corev1.ServicePort {
	p := tcp(port, nodePort)
	p.Name, p.Protocol = p.Name+"u", corev1.ProtocolUDP
	return p
}

// TestNodePorts holds what the reference does with node ports, and what it answers.
func TestNodePorts(t *testing.T) {
	local := corev1.ServiceExternalTrafficPolicyLocal
	tests := []struct {
		name  string
		spec  corev1.ServiceSpec
		want  string
		ports []int32
	}{
		{"a port that is asked for", corev1.ServiceSpec{Ports: []corev1.ServicePort{tcp(80, 30081)}}, "", []int32{30081}},
		{
			"a port that another one has",
			corev1.ServiceSpec{Ports: []corev1.ServicePort{tcp(80, 30080)}},
			`Service "x" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated`, nil,
		},
		{
			"a port of no range",
			corev1.ServiceSpec{Ports: []corev1.ServicePort{tcp(80, 20080)}},
			`Service "x" is invalid: spec.ports[0].nodePort: Invalid value: 20080: provided port is not in the valid range. ` +
				`The range of valid ports is 30000-32767`, nil,
		},
		{"both protocols of a port share", corev1.ServiceSpec{Ports: []corev1.ServicePort{tcp(53, 30053), udp(53, 0)}}, "", []int32{30053, 30053}},
		{
			"two ports cannot share",
			corev1.ServiceSpec{Ports: []corev1.ServicePort{tcp(80, 30055), tcp(81, 30055)}},
			`Service "x" is invalid: spec.ports[1].nodePort: Invalid value: 30055: provided port is already allocated`, nil,
		},
		{
			"a load balancer without node ports", corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: ptr(false), Ports: []corev1.ServicePort{tcp(80, 0), tcp(81, 30081)},
			}, "", []int32{0, 30081},
		},
		{
			"a health port that another one has",
			corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: local, HealthCheckNodePort: 30080, Ports: []corev1.ServicePort{tcp(80, 30081)},
			},
			"Internal error occurred: failed to allocate requested HealthCheck NodePort 30080: provided port is already allocated", nil,
		},
		{
			"a health port", corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: local, HealthCheckNodePort: 30082, Ports: []corev1.ServicePort{tcp(80, 30081)},
			}, "", []int32{30081, 30082},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry(t, "10.0.0.0/24")
			a := r.allocator(t, defaultPorts())
			create(t, a, service("first", corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{tcp(80, 30080)}}))
			if tt.spec.Type == "" {
				tt.spec.Type = corev1.ServiceTypeNodePort
			}
			svc := service("x", tt.spec)
			finish, err := a.Allocate(t.Context(), svc, nil, false)
			if diff := cmp.Diff(tt.want, message(err)); diff != "" {
				t.Fatalf("message (-want +got):\n%s", diff)
			}
			if err != nil {
				checkFree(t, a, 30055, 30081)
				return
			}
			var got []int32
			for _, p := range svc.Spec.Ports {
				got = append(got, p.NodePort)
			}
			if h := svc.Spec.HealthCheckNodePort; h != 0 {
				got = append(got, h)
			}
			if diff := cmp.Diff(tt.ports, got); diff != "" {
				t.Errorf("node ports (-want +got):\n%s", diff)
			}
			finish(t.Context(), true)
			a.Release(t.Context(), svc)
			checkFree(t, a, 30053, 30081, 30082)
		})
	}
}

// checkFree takes the ports, which fails if they are taken, and gives them back.
func checkFree(t *testing.T, a *services.Allocator, ports ...int32) {
	t.Helper()
	for _, port := range ports {
		finish, err := a.Allocate(t.Context(), service("probe", corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, ClusterIP: "None", Ports: []corev1.ServicePort{tcp(80, port)},
		}), nil, false)
		if err != nil {
			t.Errorf("port %d is not free: %v", port, err)
			continue
		}
		finish(t.Context(), false)
	}
}

// TestTypeChanges follows a Service through the types: what it no longer has is free after the commit, and not before.
func TestTypeChanges(t *testing.T) {
	r := newRegistry(t, "10.0.0.0/24", "fd00::/112")
	a := r.allocator(t, defaultPorts())
	update := func(old *corev1.Service, change func(*corev1.ServiceSpec)) (*corev1.Service, func(bool)) {
		t.Helper()
		svc := old.DeepCopy()
		change(&svc.Spec)
		finish, err := a.Allocate(t.Context(), svc, old, false)
		if err != nil {
			t.Fatal(err)
		}
		return svc, func(committed bool) { finish(t.Context(), committed) }
	}
	taken := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, r.taken(t)); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
	}
	svc := create(t, a, service("x", corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, ClusterIP: "10.0.0.5", Ports: []corev1.ServicePort{tcp(80, 30080)},
	}))

	// A second family, and away with it again.
	wide, finish := update(svc, func(s *corev1.ServiceSpec) {
		s.IPFamilyPolicy, s.ClusterIPs = ptr(corev1.IPFamilyPolicyRequireDualStack), []string{"10.0.0.5", "fd00::5"}
	})
	taken("10.0.0.5", "fd00::5")
	finish(true)
	_, finish = update(wide, func(s *corev1.ServiceSpec) { s.IPFamilyPolicy = ptr(corev1.IPFamilyPolicySingleStack) })
	taken("10.0.0.5", "fd00::5")
	finish(true)
	taken("10.0.0.5")

	// A client that sends what it first sent changes nothing.
	same, finish := update(svc, func(s *corev1.ServiceSpec) {
		s.ClusterIP, s.ClusterIPs, s.IPFamilies, s.IPFamilyPolicy = "", nil, nil, nil
		s.Ports[0].NodePort = 0
	})
	finish(true)
	if diff := cmp.Diff(svc, same); diff != "" {
		t.Errorf("an update without the allocated values (-want +got):\n%s", diff)
	}

	// To a name of something outside: all is given back, but only after the commit.
	_, finish = update(svc, func(s *corev1.ServiceSpec) { s.Type, s.ExternalName = corev1.ServiceTypeExternalName, "a.example" })
	taken("10.0.0.5")
	finish(false)
	taken("10.0.0.5")
	outside, finish := update(svc, func(s *corev1.ServiceSpec) { s.Type, s.ExternalName = corev1.ServiceTypeExternalName, "a.example" })
	finish(true)
	taken([]string{}...)
	checkFree(t, a, 30080)
	want := corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "a.example", Ports: []corev1.ServicePort{tcp(80, 0)}}
	if diff := cmp.Diff(want, outside.Spec); diff != "" {
		t.Errorf("spec of an ExternalName (-want +got):\n%s", diff)
	}

	// And back.
	back, finish := update(outside, func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeClusterIP })
	finish(true)
	taken(back.Spec.ClusterIP)
	a.Release(t.Context(), back)
	taken([]string{}...)
}

// TestDryRun checks that a dry run takes nothing and answers with values that nobody has.
func TestDryRun(t *testing.T) {
	r := newRegistry(t, "10.0.0.0/24")
	a := r.allocator(t, defaultPorts())
	svc := service("x", corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{tcp(80, 0), tcp(81, 0)}})
	finish, err := a.Allocate(t.Context(), svc, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	finish(t.Context(), true)
	if svc.Spec.ClusterIP != "10.0.0.0" || svc.Spec.Ports[0].NodePort != 32769 || svc.Spec.Ports[1].NodePort != 32770 {
		t.Errorf("spec = %+v", svc.Spec)
	}
	if got := r.taken(t); len(got) > 0 {
		t.Errorf("a dry run has taken %v", got)
	}
	outside := service("y", corev1.ServiceSpec{ClusterIP: "10.1.0.5"})
	_, err = a.Allocate(t.Context(), outside, nil, true)
	const want = `Service "y" is invalid: spec.clusterIPs: Invalid value: ["10.1.0.5"]: failed to allocate IP 10.1.0.5: ` +
		`the provided IP (10.1.0.5) is not in the valid range. The range of valid IPs is 10.0.0.0/24`
	if diff := cmp.Diff(want, message(err)); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

// TestMoreRanges checks that ServiceCIDRs beside the default one extend the range while they are ready, and no longer.
func TestMoreRanges(t *testing.T) {
	r := newRegistry(t, "10.0.0.0/30") // two addresses
	more := cidr("more", "10.9.0.0/30")
	r.cidrs = append(r.cidrs, more)
	a := r.allocator(t, defaultPorts())
	var got []string
	for i := range 3 {
		got = append(got, create(t, a, service(string(rune('a'+i)), corev1.ServiceSpec{})).Spec.ClusterIP)
	}
	slices.Sort(got[:2])
	if diff := cmp.Diff([]string{"10.0.0.1", "10.0.0.2"}, got[:2]); diff != "" {
		t.Errorf("the default range comes first (-want +got):\n%s", diff)
	}
	if got[2] != "10.9.0.1" && got[2] != "10.9.0.2" {
		t.Errorf("the third address is %s", got[2])
	}
	deleting := more.DeepCopy()
	deleting.DeletionTimestamp = ptr(metav1.Now())
	r.cidrs[1] = deleting
	_, err := a.Allocate(t.Context(), service("d", corev1.ServiceSpec{}), nil, false)
	const want = `Internal error occurred: failed to allocate a serviceIP for Service "d": range is full`
	if diff := cmp.Diff(want, message(err)); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

// TestPortRangeOfAnotherServer checks that ports are not given out of a range that is not the stored one.
func TestPortRangeOfAnotherServer(t *testing.T) {
	r := newRegistry(t, "10.0.0.0/24")
	a := r.allocator(t, defaultPorts())
	r.allocator(t, utilnet.PortRange{Base: 31000, Size: 100}) // whose repair changes the stored range
	_, err := a.Allocate(t.Context(), service("x", corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{tcp(80, 0)},
	}), nil, false)
	if err == nil {
		t.Error("a port of a range that is not the stored one was given")
	}
	if got := r.taken(t); len(got) > 0 {
		t.Errorf("the refused Service has taken %v", got)
	}
}
