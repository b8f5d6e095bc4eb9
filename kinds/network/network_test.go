//lint:file-ignore SA1019 Endpoints are deprecated for clients; a server has to check them.

package network_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/gatehouse/gatehouse/kinds/network"
	"github.com/gatehouse/gatehouse/rules/casetest"
)

func TestEndpoints(t *testing.T) {
	casetest.Run[corev1.Endpoints](t, network.Endpoints(), "testdata/endpoints.txtar")
}

func TestEndpointSlice(t *testing.T) {
	casetest.Run[discoveryv1.EndpointSlice](t, network.EndpointSlice(), "testdata/endpointslice.txtar")
}

func TestIngress(t *testing.T) {
	casetest.Run[networkingv1.Ingress](t, network.Ingress(), "testdata/ingress.txtar")
}

func TestIngressClass(t *testing.T) {
	casetest.Run[networkingv1.IngressClass](t, network.IngressClass(), "testdata/ingressclass.txtar")
}

func TestIPAddress(t *testing.T) {
	casetest.Run[networkingv1.IPAddress](t, network.IPAddress(), "testdata/ipaddress.txtar")
}

func TestNetworkPolicy(t *testing.T) {
	casetest.Run[networkingv1.NetworkPolicy](t, network.NetworkPolicy(), "testdata/networkpolicy.txtar")
}

func TestService(t *testing.T) {
	casetest.Run[corev1.Service](t, network.Service(), "testdata/service.txtar")
}

func TestServiceCIDR(t *testing.T) {
	casetest.Run[networkingv1.ServiceCIDR](t, network.ServiceCIDR(), "testdata/servicecidr.txtar")
}
