package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/admission/celpolicy"
	"github.com/gatehouse/gatehouse/admission/webhook"
	"github.com/gatehouse/gatehouse/backend"
	client "github.com/gatehouse/gatehouse/internal/webhook"
	"github.com/gatehouse/gatehouse/resource"
)

// webhooks are the plugins that ask webhooks, which are about requests as policies are.
func (p *parts) webhooks(find *finder, c celpolicy.Config) (*webhook.Mutating, *webhook.Validating, error) {
	pool := client.NewPool()
	p.close = append(p.close, pool.Close)
	config := webhook.Config{
		Metrics: p.admitted, Kinds: c.Kinds, Pool: pool, Services: hookServices{find, backend.New(backend.Config{Own: p.listensAt})},
		Matching: func(about *admissionregistrationv1.MatchResources, of []admissionregistrationv1.MatchCondition, ignore bool) webhook.Matcher {
			return celpolicy.NewHook(&c, about, of, ignore)
		},
	}
	const group = admissionregistrationv1.GroupName
	m, err := webhook.NewMutating(config,
		hookSource[*admissionregistrationv1.MutatingWebhookConfiguration]{p, newLister(find, group, "mutatingwebhookconfigurations")})
	if err != nil {
		return nil, nil, err
	}
	v, err := webhook.NewValidating(config,
		hookSource[*admissionregistrationv1.ValidatingWebhookConfiguration]{p, newLister(find, group, "validatingwebhookconfigurations")})
	return m, v, err
}

// hookSource implements webhook.Source.
type hookSource[C resource.Object] struct {
	parts *parts
	all   *lister
}

// Version implements webhook.Source.
func (s hookSource[C]) Version() (any, error) {
	select {
	case <-s.parts.mirror.Ready():
		return s.all.state()
	default:
		return nil, errNotLoaded
	}
}

// Configurations implements webhook.Source.
func (s hookSource[C]) Configurations() ([]C, error) { return listOf[C](s.all, "") }

// hookServices implements webhook.Services.
type hookServices struct {
	find  *finder
	proxy *backend.Proxy
}

// DialService implements webhook.Services: at the Service's own address, which the network leads on to one of its endpoints.
func (s hookServices) DialService(ctx context.Context, namespace, name string, port int32) (net.Conn, error) {
	service, found, err := one[*corev1.Service](ctx, s.find, "", "services", namespace, name)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("service %q not found", name)
	}
	host, err := hostOf(service, port)
	if err != nil {
		return nil, err
	}
	return s.proxy.DialTo(ctx, &backend.Target{Scheme: "https", Host: host, Port: strconv.Itoa(int(port))})
}

// hostOf is where a Service is reached at a port.
func hostOf(service *corev1.Service, port int32) (string, error) {
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return service.Spec.ExternalName, nil
	}
	if service.Spec.ClusterIP == "" || service.Spec.ClusterIP == corev1.ClusterIPNone {
		return "", fmt.Errorf("cannot route to service with ClusterIP %q", service.Spec.ClusterIP)
	}
	for i := range service.Spec.Ports {
		if service.Spec.Ports[i].Port == port {
			return service.Spec.ClusterIP, nil
		}
	}
	return "", fmt.Errorf("no service port %d found for service %q", port, service.Name)
}
