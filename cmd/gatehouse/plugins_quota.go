package main

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

// quotas implements quota.Quotas.
type quotas struct {
	parts *parts
	all   *lister
}

// Quotas implements quota.Quotas. NamespaceLifecycle has waited for what this server has written.
func (q *quotas) Quotas(ctx context.Context, namespace string, fresh bool) ([]*corev1.ResourceQuota, error) {
	if fresh {
		if _, err := q.parts.mirror.Fresh(ctx); err != nil {
			return nil, err
		}
	}
	return listOf[*corev1.ResourceQuota](q.all, namespace)
}

// Charge implements quota.Quotas with an update of the status, which is audited like every write of the server's own.
func (q *quotas) Charge(ctx context.Context, o *corev1.ResourceQuota) (stored *corev1.ResourceQuota, err error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	info := api.RequestInfo{
		IsResource: true, Version: "v1", Resource: "resourcequotas", Subresource: "status", Namespace: o.Namespace, Name: o.Name, Verb: "update",
	}
	charge := because("resource quota")
	err = q.parts.audited(ctx, charge, info, func(w resource.Write) error {
		result, err := q.parts.resources.Update(ctx, authz.System(charge.why, info), resource.Body{Data: data}, w)
		if err != nil {
			return err
		}
		decoded, err := result.Type.Decode(result.Item)
		if err != nil {
			return err
		}
		stored = decoded.(*corev1.ResourceQuota)
		return nil
	})
	return stored, err
}
