//lint:file-ignore SA1019 Endpoints are deprecated for clients; the service kubernetes has to have them.

package services_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/services"
)

// TestRepairAfterACrash lets a server end between the taking of an address and a port and the write of the Service, and a Service be
// written by a server that took nothing.
func TestRepairAfterACrash(t *testing.T) {
	r := newRegistry(t, "10.0.0.0/24")
	a := r.allocator(t, defaultPorts())
	kept := create(t, a, service("kept", corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, ClusterIP: "10.0.0.4", Ports: []corev1.ServicePort{tcp(80, 30004)},
	}))
	r.add(kept)
	if _, err := a.Allocate(t.Context(), service("crashed", corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, ClusterIP: "10.0.0.5", Ports: []corev1.ServicePort{tcp(80, 30005)},
	}), nil, false); err != nil {
		t.Fatal(err)
	}
	missing := service("missing", corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, ClusterIP: "10.0.0.6", ClusterIPs: []string{"10.0.0.6"}, Ports: []corev1.ServicePort{tcp(80, 30006)},
	})
	r.add(missing)
	r.add(service("outside", corev1.ServiceSpec{ClusterIP: "10.7.0.6", ClusterIPs: []string{"10.7.0.6"}}))

	repair := func(want ...string) {
		t.Helper()
		if err := a.RepairIPs(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, r.taken(t)); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
	}
	repair("10.0.0.4", "10.0.0.5", "10.0.0.6") // the write may still be under way
	r.clock = r.clock.Add(61 * time.Second)
	repair("10.0.0.4", "10.0.0.6")
	if err := r.Delete(t.Context(), "10.0.0.4", ""); err != nil { // by somebody who should not have
		t.Fatal(err)
	}
	repair("10.0.0.4", "10.0.0.6")

	free := func(port int32) bool {
		_, err := a.Allocate(t.Context(), service("probe", corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, ClusterIP: "None", Ports: []corev1.ServicePort{tcp(80, port)},
		}), nil, true)
		return err == nil
	}
	for range 4 {
		if free(30005) {
			t.Error("the port of a Service that may still be written was given back")
		}
		if err := a.RepairPorts(t.Context()); err != nil {
			t.Fatal(err)
		}
		if free(30004) || free(30006) {
			t.Error("the port of a Service is free")
		}
	}
	if !free(30005) {
		t.Error("a leaked port was not given back")
	}
}

// TestRepairOfReferences checks what becomes of addresses that do not say whose they are.
func TestRepairOfReferences(t *testing.T) {
	r := newRegistry(t, "10.0.0.0/24")
	a := r.allocator(t, defaultPorts())
	svc := service("x", corev1.ServiceSpec{ClusterIP: "10.0.0.4", ClusterIPs: []string{"10.0.0.4"}})
	twin := service("twin", corev1.ServiceSpec{ClusterIP: "10.0.0.5", ClusterIPs: []string{"10.0.0.5"}})
	r.add(svc)
	r.add(twin)
	r.add(service("other", corev1.ServiceSpec{ClusterIP: "10.0.0.5", ClusterIPs: []string{"10.0.0.5"}}))
	address := func(name, service string, labels map[string]string) {
		t.Helper()
		if err := r.Create(t.Context(), &networkingv1.IPAddress{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
			Spec:       networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: "ns", Name: service}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	labels := map[string]string{networkingv1.LabelIPAddressFamily: "IPv4", networkingv1.LabelManagedBy: services.ManagedBy}
	address("10.0.0.4", "gone", labels)
	address("10.0.0.5", "twin", labels)
	address("10.0.0.9", "gone", nil) // a user's own
	r.clock = r.clock.Add(time.Hour)
	if err := a.RepairIPs(t.Context()); err != nil {
		t.Fatal(err)
	}
	ips, err := r.IPAddresses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, ip := range ips {
		got[ip.Name] = ip.Spec.ParentRef.Name
	}
	if diff := cmp.Diff(map[string]string{"10.0.0.4": "x", "10.0.0.5": "twin", "10.0.0.9": "gone"}, got); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

// TestServiceCIDRIsHeld checks when a ServiceCIDR may go.
func TestServiceCIDRIsHeld(t *testing.T) {
	now := time.Now()
	deleted := func(ago time.Duration, ranges ...string) *networkingv1.ServiceCIDR {
		c := cidr("c", ranges...)
		c.DeletionTimestamp = ptr(metav1.NewTime(now.Add(-ago)))
		return c
	}
	ip := &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{
		Name: "10.9.0.3", Labels: map[string]string{networkingv1.LabelManagedBy: services.ManagedBy},
	}}
	tests := []struct {
		name            string
		c               *networkingv1.ServiceCIDR
		others          []*networkingv1.ServiceCIDR
		ips             []*networkingv1.IPAddress
		removable, held bool
	}{
		{"one that is not deleted", cidr("c", "10.9.0.0/28"), nil, nil, false, false},
		{"one that nobody needs but that others have not heard of", deleted(time.Second, "10.9.0.0/28"), nil, nil, false, false},
		{"one that nobody needs", deleted(time.Minute, "10.9.0.0/28"), nil, nil, true, false},
		{"one with an address", deleted(time.Minute, "10.9.0.0/28"), nil, []*networkingv1.IPAddress{ip}, false, true},
		{
			"one within another", deleted(time.Minute, "10.9.0.0/28"),
			[]*networkingv1.ServiceCIDR{cidr("d", "10.9.0.0/24")},
			[]*networkingv1.IPAddress{ip},
			true, false,
		},
		{
			"one whose address another has too", deleted(time.Minute, "10.9.0.0/24"),
			[]*networkingv1.ServiceCIDR{cidr("d", "10.9.0.0/28")},
			[]*networkingv1.IPAddress{ip},
			true, false,
		},
		{
			"the address is one that another cannot give", deleted(time.Minute, "10.9.0.0/28"),
			[]*networkingv1.ServiceCIDR{cidr("d", "10.9.0.0/30")},
			[]*networkingv1.IPAddress{ip},
			false, true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			removable, held := services.Removable(tt.c, append(tt.others, tt.c), tt.ips, now)
			if removable != tt.removable || held != tt.held {
				t.Errorf("removable %v, held %v; want %v, %v", removable, held, tt.removable, tt.held)
			}
		})
	}
}

// TestMasters follows the endpoints of the service kubernetes as servers come and go.
func TestMasters(t *testing.T) {
	port := corev1.EndpointPort{Name: "https", Port: 6443, Protocol: corev1.ProtocolTCP}
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}}
	steps := []struct {
		name    string
		masters []netip.Addr
		changed bool
		want    []string
	}{
		{"the first comes", []netip.Addr{two}, true, []string{"192.0.2.2"}},
		{"it is still there", []netip.Addr{two}, false, []string{"192.0.2.2"}},
		{"another one comes", []netip.Addr{two, one}, true, []string{"192.0.2.1", "192.0.2.2"}},
		{"all have gone", nil, true, nil},
		{"nobody comes", nil, false, nil},
	}
	for _, tt := range steps {
		if got := services.SetMasters(e, tt.masters, port); got != tt.changed {
			t.Errorf("%s: changed = %v", tt.name, got)
		}
		var got []string
		for _, endpoint := range services.SliceOfMasters(e).Endpoints {
			got = append(got, endpoint.Addresses...)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: addresses of the slice (-want +got):\n%s", tt.name, diff)
		}
	}
	if e.Labels["endpointslice.kubernetes.io/skip-mirror"] != "true" {
		t.Error("the endpoints would be mirrored a second time")
	}
}
