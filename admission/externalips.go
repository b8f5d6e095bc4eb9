package admission

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// DenyServiceExternalIPs refuses external addresses of Services that were not there before: who sets one can take the traffic to it (CVE-2020-8554). It is a
// Validator and decides like the plugin of that name in kube-apiserver.
type DenyServiceExternalIPs struct{}

// Validate refuses with 403.
func (DenyServiceExternalIPs) Validate(_ context.Context, a *Attributes) error {
	if !a.Concerns("", "services") || !a.Writes() {
		return nil
	}
	service, ok := a.Object.(*corev1.Service)
	if !ok {
		return a.Undecoded()
	}
	var had []string
	if old, ok := a.OldObject.(*corev1.Service); ok && old != nil {
		had = old.Spec.ExternalIPs
	}
	for _, ip := range service.Spec.ExternalIPs {
		if !slices.Contains(had, ip) {
			//lint:ignore ST1005 The text is that of kube-apiserver.
			return a.Forbidden(errors.New("Use of external IPs is denied by admission control"))
		}
	}
	return nil
}
