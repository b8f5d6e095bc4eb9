//lint:file-ignore SA1019 Endpoints are deprecated for clients; the service kubernetes has to have them.

package services

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Every server announces its address under a key in etcd that lives no longer than the server renews it, and puts the addresses that are
// announced into the endpoints of the service kubernetes. Servers of both kinds may share one etcd, so the values are the reference's.

// EncodeMaster is the value by which a server announces its address. generation counts the renewals.
func EncodeMaster(address netip.Addr, generation int64) ([]byte, error) {
	raw, err := (&corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Generation: generation},
		Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: address.String()}}}},
	}).Marshal()
	if err != nil {
		return nil, err
	}
	value, err := (&runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "Endpoints"}, Raw: raw}).Marshal()
	return append([]byte(valueMagic), value...), err
}

// DecodeMaster reads the value that EncodeMaster makes. An address that is none, or a value without one, is an error.
func DecodeMaster(value []byte) (address netip.Addr, generation int64, err error) {
	body, ok := bytes.CutPrefix(value, []byte(valueMagic))
	if !ok {
		return netip.Addr{}, 0, errors.New("the announced address is not in the protobuf storage format")
	}
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(body); err != nil {
		return netip.Addr{}, 0, fmt.Errorf("announced address: %w", err)
	}
	var e corev1.Endpoints
	if err := e.Unmarshal(envelope.Raw); err != nil {
		return netip.Addr{}, 0, fmt.Errorf("announced address: %w", err)
	}
	if len(e.Subsets) == 0 || len(e.Subsets[0].Addresses) == 0 {
		return netip.Addr{}, 0, errors.New("the announcement holds no address")
	}
	address, err = netip.ParseAddr(e.Subsets[0].Addresses[0].IP)
	return address.Unmap(), e.Generation, err
}

// SetMasters makes the endpoints hold the addresses, with the ports that they have or, if they have none or are not of the expected
// form, the given one. It reports whether that changed them. Without addresses they are empty.
func SetMasters(e *corev1.Endpoints, addresses []netip.Addr, port corev1.EndpointPort) (changed bool) {
	if e.Labels[discoveryv1.LabelSkipMirror] != "true" {
		if e.Labels == nil {
			e.Labels = map[string]string{}
		}
		e.Labels[discoveryv1.LabelSkipMirror] = "true"
		changed = true
	}
	var wanted []string
	for _, a := range addresses {
		wanted = append(wanted, a.String())
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	if len(wanted) == 0 {
		changed = changed || len(e.Subsets) > 0
		e.Subsets = nil
		return changed
	}
	if len(e.Subsets) != 1 {
		e.Subsets = []corev1.EndpointSubset{{Ports: []corev1.EndpointPort{port}}}
	}
	subset := &e.Subsets[0]
	var have []string
	for _, a := range subset.Addresses {
		have = append(have, a.IP)
	}
	slices.Sort(have)
	if slices.Equal(have, wanted) {
		return changed
	}
	subset.Addresses = nil
	for _, ip := range wanted {
		subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: ip})
	}
	return true
}

// SliceOfMasters is the EndpointSlice that says the same as the endpoints. It has the addresses of one family: IPv6 if all are of that.
func SliceOfMasters(e *corev1.Endpoints) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: e.Name, Namespace: e.Namespace, Labels: map[string]string{discoveryv1.LabelServiceName: e.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	if len(e.Subsets) == 0 {
		return slice
	}
	subset := e.Subsets[0].DeepCopy()
	if !slices.ContainsFunc(subset.Addresses, func(a corev1.EndpointAddress) bool { return !isIPv6(a.IP) }) && len(subset.Addresses) > 0 {
		slice.AddressType = discoveryv1.AddressTypeIPv6
	}
	for i := range subset.Ports {
		p := &subset.Ports[i]
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &p.Port, Protocol: &p.Protocol})
	}
	for _, a := range subset.Addresses {
		if isIPv6(a.IP) == (slice.AddressType == discoveryv1.AddressTypeIPv6) {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{a.IP}, Conditions: discoveryv1.EndpointConditions{Ready: set(true)},
			})
		}
	}
	return slice
}
