//lint:file-ignore SA1019 Endpoints are deprecated for clients; the service kubernetes has to have them.

package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/services"
	"github.com/gatehouse/gatehouse/store"
)

// The service kubernetes, by which pods reach the servers.

const (
	kubernetesService = "kubernetes"
	kubernetesPort    = 443
	// masterTTL is how long a server is believed to live after it last said so.
	masterTTL = 15 * time.Second
)

// keepKubernetesService makes the service, if there is none, with the first address of the first range.
func (p *parts) keepKubernetesService(ctx context.Context) error {
	port := corev1.ServicePort{
		Name: "https", Protocol: corev1.ProtocolTCP, Port: kubernetesPort, TargetPort: intstr.FromInt32(p.port()),
	}
	kind := corev1.ServiceTypeClusterIP
	if node := p.options.KubernetesServiceNodePort; node > 0 {
		kind, port.NodePort = corev1.ServiceTypeNodePort, int32(node) //nolint:gosec // A port number.
	}
	return p.ensure(ctx, because("service kubernetes"), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: kubernetesService, Namespace: metav1.NamespaceDefault, Labels: map[string]string{"provider": "kubernetes", "component": "apiserver"},
		},
		Spec: corev1.ServiceSpec{
			Type: kind, Ports: []corev1.ServicePort{port}, ClusterIP: p.options.ServiceClusterIPRanges[0].Addr().Next().String(),
			IPFamilyPolicy: ptr(corev1.IPFamilyPolicySingleStack), SessionAffinity: corev1.ServiceAffinityNone,
		},
	}, asIs)
}

// port is where the server listens.
func (p *parts) port() int32 {
	return int32(p.listener.Addr().(*net.TCPAddr).Port) //nolint:gosec // A port number.
}

// advertised is the address by which the cluster reaches this server. ok is false where there is none: pods cannot reach a server
// that listens on the loopback interface only.
func (p *parts) advertised() (address netip.Addr, ok bool) {
	address = p.options.AdvertiseAddress
	if !address.IsValid() {
		address = p.options.BindAddress
	}
	if address.IsUnspecified() {
		ip, err := utilnet.ChooseHostInterface()
		if err != nil {
			return netip.Addr{}, false
		}
		address, _ = netip.AddrFromSlice(ip)
	}
	address = address.Unmap()
	return address, address.IsValid() && !address.IsLoopback() && !address.IsLinkLocalUnicast()
}

// reconciles reports whether this server keeps the endpoints.
func (p *parts) reconciles() (netip.Addr, bool) {
	address, ok := p.advertised()
	return address, ok && p.options.EndpointReconciler == flags.ReconcilerLease
}

func masterPrefix(e *store.Etcd) string { return e.Prefix() + "/masterleases/" }

// keepEndpoints announces this server for masterTTL and makes the endpoints say who is announced.
func (p *parts) keepEndpoints(ctx context.Context) error {
	address, ok := p.reconciles()
	if !ok {
		return nil
	}
	etcd := p.mirror.Etcd()
	key := masterPrefix(etcd) + address.String()
	kv, found, _, err := etcd.Get(ctx, key)
	if err != nil {
		return err
	}
	var generation int64
	if found {
		_, generation, _ = services.DecodeMaster(kv.Value) // one that cannot be read is replaced
	}
	value, err := services.EncodeMaster(address, generation+1)
	if err != nil {
		return err
	}
	if found {
		_, _, err = etcd.Update(ctx, key, value, kv.Revision, masterTTL)
	} else {
		_, err = etcd.Create(ctx, key, value, masterTTL)
	}
	if err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
		return err // otherwise somebody has renewed it in this moment
	}
	return p.writeEndpoints(ctx, false)
}

// leaveEndpoints takes this server out of the endpoints.
func (p *parts) leaveEndpoints(ctx context.Context) error {
	address, ok := p.reconciles()
	if !ok {
		return nil
	}
	etcd := p.mirror.Etcd()
	kv, found, _, err := etcd.Get(ctx, masterPrefix(etcd)+address.String())
	if err != nil || !found {
		return err
	}
	if _, _, err := etcd.Delete(ctx, kv.Key, kv.Revision); err != nil {
		return err
	}
	return p.writeEndpoints(ctx, true)
}

// writeEndpoints makes the endpoints what is announced. Only a server that leaves may empty them: one that stays has just announced
// itself, so that to find nothing is a failure of the reading.
func (p *parts) writeEndpoints(ctx context.Context, leaving bool) error {
	kvs, _, _, err := p.mirror.Etcd().Range(ctx, masterPrefix(p.mirror.Etcd()), "", 0, 0)
	if err != nil {
		return err
	}
	var masters []netip.Addr
	for _, kv := range kvs {
		if address, _, err := services.DecodeMaster(kv.Value); err == nil {
			masters = append(masters, address)
		}
	}
	if len(masters) == 0 && !leaving {
		return errors.New("no server is announced in etcd, not even this one: the endpoints of the service kubernetes stay as they are")
	}
	c := because("endpoints of the service kubernetes")
	info := resourceOf("", "endpoints")
	info.Namespace, info.Name = metav1.NamespaceDefault, kubernetesService
	o, found, err := p.read(ctx, c.why, info, "")
	if err != nil || (!found && leaving) {
		return err
	}
	endpoints := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: kubernetesService, Namespace: metav1.NamespaceDefault}}
	verb := "create"
	if found {
		endpoints, verb = o.(*corev1.Endpoints), "update"
	}
	changed := services.SetMasters(endpoints, masters, corev1.EndpointPort{Name: "https", Port: p.port(), Protocol: corev1.ProtocolTCP})
	if changed || !found {
		if err := p.write(ctx, c, verb, info, endpoints); err != nil {
			return ignoreConflict(err)
		}
	}
	return p.writeEndpointSlice(ctx, c, services.SliceOfMasters(endpoints))
}

// writeEndpointSlice makes the slice of the service say what its endpoints say.
func (p *parts) writeEndpointSlice(ctx context.Context, c cause, wanted *discoveryv1.EndpointSlice) error {
	info := resourceOf(discoveryv1.GroupName, "endpointslices")
	info.Namespace, info.Name = wanted.Namespace, wanted.Name
	o, found, err := p.read(ctx, c.why, info, "")
	if err != nil {
		return err
	}
	if found && o.(*discoveryv1.EndpointSlice).AddressType != wanted.AddressType {
		if err := p.remove(ctx, c, info, metav1.DeleteOptions{}); err != nil { // The type of a slice cannot change.
			return err
		}
		found = false
	}
	if !found {
		err := p.write(ctx, c, "create", info, wanted)
		if api.IsReason(err, metav1.StatusReasonAlreadyExists) {
			return nil
		}
		return err
	}
	have := o.(*discoveryv1.EndpointSlice)
	if apiequality.Semantic.DeepEqual(have.Endpoints, wanted.Endpoints) && apiequality.Semantic.DeepEqual(have.Ports, wanted.Ports) &&
		apiequality.Semantic.DeepEqual(have.Labels, wanted.Labels) {
		return nil
	}
	have.Endpoints, have.Ports, have.Labels = wanted.Endpoints, wanted.Ports, wanted.Labels
	return ignoreConflict(p.write(ctx, c, "update", info, resource.Object(have)))
}
