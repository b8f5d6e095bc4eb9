package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

// The server's own writes. They take the way of a client's, with a permit of the system's.

// cause says on whose account the server writes something itself.
type cause struct {
	// why is the reason in the audit log.
	why string
	// manager owns the fields; empty means ownManager.
	manager string
}

// ownManager owns the fields of what the server writes without saying more.
const ownManager = "kube-apiserver"

func because(why string) cause { return cause{why: why} }

// infoOf is the request that reads the object.
func (p *parts) infoOf(o resource.Object) (api.RequestInfo, error) {
	for _, t := range p.resources.Table.Types() {
		if t.StoredAs == nil && fmt.Sprintf("%T", t.New()) == fmt.Sprintf("%T", o) {
			return api.RequestInfo{
				IsResource: true, Group: t.Group, Version: t.Version, Resource: t.Resource, Namespace: o.GetNamespace(), Name: o.GetName(),
			}, nil
		}
	}
	return api.RequestInfo{}, fmt.Errorf("%T is not served", o)
}

// write creates or updates the object; an info with a subresource updates that.
func (p *parts) write(ctx context.Context, c cause, verb string, info api.RequestInfo, o resource.Object) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	info.Verb = verb
	return p.audited(ctx, c, info, func(w resource.Write) error {
		do := p.resources.Update
		if verb == "create" {
			info.Name = ""
			do = p.resources.Create
		}
		_, err := do(ctx, authz.System(c.why, info), resource.Body{Data: data}, w)
		return err
	})
}

// applyCondition applies one condition of an object's status, whoever owned it before. kind is that of the object, as its apiVersion and kind.
func (p *parts) applyCondition(ctx context.Context, c cause, info api.RequestInfo, kind metav1.TypeMeta, condition any) error {
	raw, err := json.Marshal(condition)
	if err != nil {
		return err
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == "" }) // which nobody means to own
	data, err := json.Marshal(map[string]any{
		"apiVersion": kind.APIVersion, "kind": kind.Kind, "metadata": map[string]any{"name": info.Name},
		"status": map[string]any{"conditions": []any{fields}},
	})
	if err != nil {
		return err
	}
	info.Verb, info.Subresource = "patch", "status"
	return p.audited(ctx, c, info, func(w resource.Write) error {
		w.Options.Force = true
		_, err := p.resources.Patch(ctx, authz.System(c.why, info), resource.Body{ContentType: string(types.ApplyYAMLPatchType), Data: data}, w)
		return err
	})
}

func typeOf(gv schema.GroupVersion, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: gv.String(), Kind: kind}
}

// remove deletes an object; that there is none is no error.
func (p *parts) remove(ctx context.Context, c cause, info api.RequestInfo, o metav1.DeleteOptions) error {
	info.Verb = "delete"
	err := p.audited(ctx, c, info, func(w resource.Write) error {
		_, err := p.resources.Delete(ctx, authz.System(c.why, info), o, w)
		return err
	})
	if api.IsReason(err, metav1.StatusReasonNotFound) {
		return nil
	}
	return err
}

// read reads an object; found is false where there is none. resourceVersion "0" takes what the cache has, "" is a consistent read.
func (p *parts) read(ctx context.Context, why string, info api.RequestInfo, resourceVersion string) (o resource.Object, found bool, err error) {
	info.Verb = "get"
	result, err := p.resources.Get(ctx, authz.System(why, info), resourceVersion)
	if api.IsReason(err, metav1.StatusReasonNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	o, err = result.Type.Decode(result.Item)
	return o, err == nil, err
}

// audited runs one write of the server's own under the same rule as a client's: its record is durable before it is executed.
func (p *parts) audited(ctx context.Context, c cause, info api.RequestInfo, do func(resource.Write) error) error {
	w := resource.Write{Options: resource.WriteOptions{Validation: resource.ValidationStrict, FieldManager: c.manager}}
	if c.manager == "" {
		w.Options.FieldManager = ownManager
	}
	if p.log == nil {
		return do(w)
	}
	permit := authz.System(c.why, info)
	record, err := p.log.Begin(ctx, audit.Request{
		AuditID: uuid.NewString(), User: permit.User(), Info: info, UserAgent: "gatehouse", Received: time.Now(), AuthMethod: "internal",
		RequestURI: "internal:" + c.why,
	})
	if err != nil {
		return err
	}
	if err := record.Received(ctx); err != nil {
		return err
	}
	record.Annotate(audit.AnnotationDecision, "allow")
	record.Annotate(audit.AnnotationReason, c.why)
	w.Annotate, w.Named = record.Annotate, record.SetObject
	if err := do(w); err != nil {
		e := api.ToError(err)
		record.Finish(e.Code(), &e.Status)
		return err
	}
	record.Finish(http.StatusOK, nil)
	return nil
}
