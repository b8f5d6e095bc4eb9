package network_test

import (
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/gatehouse/gatehouse/kinds/network"
)

// TestEmptyListsAreNone guards answers to writes: they show what the next reader will see, and what is stored has no empty lists.
func TestEmptyListsAreNone(t *testing.T) {
	for name, write := range map[string]func(*discoveryv1.EndpointSlice){
		"create": func(o *discoveryv1.EndpointSlice) { network.EndpointSlice().Create(o) },
		"update": func(o *discoveryv1.EndpointSlice) {
			network.EndpointSlice().Update("", o, &discoveryv1.EndpointSlice{})
		},
	} {
		slice := &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{}, Ports: []discoveryv1.EndpointPort{}}
		if write(slice); slice.Endpoints != nil || slice.Ports != nil {
			t.Errorf("%s: %v and %v are not missing", name, slice.Endpoints, slice.Ports)
		}
	}
}
