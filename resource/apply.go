package resource

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utiljson "sigs.k8s.io/json"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/fieldmanager"
	"github.com/gatehouse/gatehouse/internal/quantity"
	"github.com/gatehouse/gatehouse/store"
)

// IsApply reports whether a patch of the content type is a configuration to apply.
func IsApply(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && types.PatchType(media) == types.ApplyYAMLPatchType
}

// configuration is the body of an apply.
type configuration struct {
	content map[string]any
	data    []byte // the same as JSON
	strict  error  // what strict decoding would refuse
}

func (s *Service) parseApply(ctx context.Context, body Body) (c configuration, err error) {
	select {
	case s.yaml <- struct{}{}:
		defer func() { <-s.yaml }()
	case <-ctx.Done():
		return c, api.ToError(ctx.Err())
	}
	data, strict, err := fromYAML(body.Data)
	if err != nil {
		return c, api.BadRequest("error decoding YAML: error converting YAML to JSON: %v", err)
	}
	if err := measure(data).check(); err != nil {
		return c, api.BadRequest("error decoding YAML: %v", err)
	}
	c.data = data
	if err := utiljson.UnmarshalCaseSensitivePreserveInts(data, &c.content); err != nil {
		return c, api.BadRequest("error decoding YAML: error unmarshaling JSON: while decoding JSON: %v", err)
	}
	if len(strict) > 0 {
		c.strict = strict[0]
	}
	return c, nil
}

// into merges the configuration into live, or into an empty object.
func (c configuration) into(m *fieldmanager.Manager, live fieldmanager.Object, s *Service, w Write) (fieldmanager.Object, error) {
	if err := quantity.CheckJSON(c.data, reflect.TypeOf(live)); err != nil {
		return nil, api.BadRequest("error decoding YAML: %v", err)
	}
	config := (&unstructured.Unstructured{Object: c.content}).DeepCopy()
	o, err := m.Apply(live, config, w.Options.FieldManager, w.Options.Force, s.now().Time)
	if err != nil {
		return nil, applyRefused(err)
	}
	switch {
	case c.strict == nil || w.Options.Validation == ValidationIgnore:
	case w.Options.Validation == ValidationStrict:
		return nil, api.BadRequest("error strict decoding YAML: error converting YAML to JSON: %v", c.strict)
	default:
		warnStrict(w.Warnings, c.strict)
	}
	return o, nil
}

// change is what an apply makes of an object that exists.
func (c configuration) change(m *fieldmanager.Manager, t *Type, current Object, s *Service, w Write, info api.RequestInfo) (Object, error) {
	out, err := c.into(m, current, s, w)
	if err != nil {
		return nil, err
	}
	o, ok := out.(Object)
	if !ok {
		return nil, api.Internal(fmt.Errorf("%T is not stored", out))
	}
	// The configuration may have owned the metadata and no longer say anything of it.
	return o, matchUpdate(t, o, info.Name, info.Namespace)
}

// applyRefused tells the client why a configuration cannot be applied. What is wrong with it is a 500 in the reference, whose text
// clients show: it speaks of the configuration and of nothing else.
func applyRefused(err error) error {
	var known apierrors.APIStatus
	if errors.As(err, &known) {
		return api.ToError(err)
	}
	return &api.Error{Status: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}}
}

// apply makes the object be what the configuration says about it, and creates it if there is none.
func (s *Service) apply(ctx context.Context, p authz.Permit, t *Type, body Body, w Write) (Result, error) {
	c, err := s.parseApply(ctx, body)
	if err != nil {
		return Result{}, err
	}
	w.applied = true
	info := p.Info()
	if info.Subresource == "scale" {
		return s.applyScale(ctx, p, t, c, w)
	}
	m := s.owners[ownerKey{t, info.Subresource}]
	if m == nil {
		return Result{}, api.MethodNotAllowed()
	}
	for {
		r, err := s.update(ctx, p, t, partOf(info.Subresource), w, func(current Object) (Object, error) {
			return c.change(m, t, current, s, w, info)
		})
		if info.Subresource != "" || !api.IsReason(err, metav1.StatusReasonNotFound) {
			return r, err
		}
		r, err = s.onFreshCaches(ctx, func() (Result, error) { return s.createByApply(ctx, p, t, m, c, w) })
		if !errors.Is(err, store.ErrExists) || ctx.Err() != nil {
			return r, err
		}
	}
}

// createByApply creates the object that an apply did not find.
func (s *Service) createByApply(ctx context.Context, p authz.Permit, t *Type, m *fieldmanager.Manager, c configuration, w Write) (Result, error) {
	info := p.Info()
	out, err := c.into(m, t.New(), s, w)
	if err != nil {
		return Result{}, err
	}
	o, ok := out.(Object)
	if !ok {
		return Result{}, api.Internal(fmt.Errorf("%T is not stored", out))
	}
	if uid := o.GetUID(); uid != "" {
		return Result{}, api.Conflict(t.GR(), info.Name, fmt.Errorf(
			"uid mismatch: the provided object specified uid %s, and no existing object was found", uid))
	}
	if o.GetName() == "" {
		return Result{}, api.BadRequest("the name of the object (%s based on URL) was undeterminable: name must be provided", info.Name)
	}
	if err := matchRequest(t, o, info.Name, info.Namespace); err != nil {
		return Result{}, err
	}
	o.SetResourceVersion("")
	return s.createByUpdate(ctx, p, t, o, w)
}
