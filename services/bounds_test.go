package services_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestManyPorts guards against work that grows faster than a request, whose ports are not validated before their node ports are taken: over all
// pairs of the ports these would take minutes.
func TestManyPorts(t *testing.T) {
	const many = 48_000
	ports := func(number, nodePort func(i int32) int32) []corev1.ServicePort {
		list := make([]corev1.ServicePort, many)
		for i := range list {
			list[i] = tcp(number(int32(i)), nodePort(int32(i))) //nolint:gosec // It is below many.
		}
		return list
	}
	each := func(i int32) int32 { return i + 1 }
	none := func(int32) int32 { return 0 }
	r := newRegistry(t, "10.0.0.0/24")
	a := r.allocator(t, defaultPorts())
	stored := create(t, a, service("x", corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{tcp(80, 30080), tcp(81, 30081)}}))
	long := service("x", corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: ports(each, each)})
	tests := []struct {
		name   string
		list   []corev1.ServicePort
		old    *corev1.Service
		dryRun bool
		want   string // at the end of the message
	}{
		{"any ports", ports(each, none), nil, false, "failed to allocate a nodePort: range is full"},
		{"any ports in a dry run", ports(each, none), nil, true, ""},
		{"all ports in a dry run", ports(each, each), nil, true, "provided port is already allocated"},
		{"more ports than before", ports(each, none), stored, false, "failed to allocate a nodePort: range is full"},
		{"as many as before", ports(each, each), long, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := service("x", corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: tt.list})
			finish, err := a.Allocate(t.Context(), svc, tt.old, tt.dryRun)
			if err == nil {
				finish(t.Context(), false)
			}
			if got := message(err); !strings.HasSuffix(got, tt.want) || (tt.want == "") != (err == nil) {
				t.Errorf("%q, want it to end in %q", got, tt.want)
			}
		})
	}
	checkFree(t, a, 30082, 32767)
}
