package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/fieldmanager"
	"github.com/gatehouse/gatehouse/store"
)

// scaleOf reads an object through the scale subresource. Replicas that are not set count as one.
func scaleOf(o Object) (*autoscalingv1.Scale, error) {
	var replicas *int32
	var current int32
	var selector *metav1.LabelSelector
	plain := ""
	switch x := o.(type) {
	case *appsv1.Deployment:
		replicas, current, selector = x.Spec.Replicas, x.Status.Replicas, x.Spec.Selector
	case *appsv1.ReplicaSet:
		replicas, current, selector = x.Spec.Replicas, x.Status.Replicas, x.Spec.Selector
	case *appsv1.StatefulSet:
		replicas, current, selector = x.Spec.Replicas, x.Status.Replicas, x.Spec.Selector
	case *corev1.ReplicationController:
		replicas, current, plain = x.Spec.Replicas, x.Status.Replicas, labels.FormatLabels(x.Spec.Selector)
	default:
		return nil, errors.New("the kind has no scale")
	}
	if selector != nil {
		parsed, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			return nil, err
		}
		plain = parsed.String()
	}
	sc := &autoscalingv1.Scale{
		TypeMeta: metav1.TypeMeta{Kind: "Scale", APIVersion: "autoscaling/v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
			ResourceVersion: o.GetResourceVersion(), CreationTimestamp: o.GetCreationTimestamp(),
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: 1},
		Status: autoscalingv1.ScaleStatus{Replicas: current, Selector: plain},
	}
	if replicas != nil {
		sc.Spec.Replicas = *replicas
	}
	return sc, nil
}

// scalesOf are the scales of an object as it is to be and as it was.
func scalesOf(o, old Object) (kind schema.GroupVersionKind, now, before runtime.Object, err error) {
	a, err := scaleOf(o)
	if err != nil {
		return kind, nil, nil, err
	}
	b, err := scaleOf(old)
	return scale.Kind, a, b, err
}

func setReplicas(o Object, n int32) {
	switch x := o.(type) {
	case *appsv1.Deployment:
		x.Spec.Replicas = &n
	case *appsv1.ReplicaSet:
		x.Spec.Replicas = &n
	case *appsv1.StatefulSet:
		x.Spec.Replicas = &n
	case *corev1.ReplicationController:
		x.Spec.Replicas = &n
	}
}

func (s *Service) getScale(t *Type, item *store.Item) (Result, error) {
	o, err := s.object(t, item)
	if err != nil {
		return Result{}, err
	}
	sc, err := scaleOf(o)
	if err != nil {
		return Result{}, api.Internal(err)
	}
	return Result{Object: sc, Code: http.StatusOK}, nil
}

func (s *Service) updateScale(ctx context.Context, p authz.Permit, t *Type, body Body, w Write) (Result, error) {
	wanted := &autoscalingv1.Scale{}
	if err := s.decode(ctx, wanted, scale.Kind, nil, body, w); err != nil {
		return Result{}, err
	}
	if err := matchUpdate(t, wanted, p.Info().Name, p.Info().Namespace); err != nil {
		return Result{}, err
	}
	return s.changeScale(ctx, p, t, w, func(current *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		next := wanted.DeepCopy()
		s.own(t, "scale", current, next, w)
		return next, nil
	})
}

func (s *Service) patchScale(ctx context.Context, p authz.Permit, t *Type, apply patcher, w Write) (Result, error) {
	return s.changeScale(ctx, p, t, w, func(current *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		wanted := &autoscalingv1.Scale{}
		if err := apply.to(scale.Kind, current, wanted, w); err != nil {
			return nil, err
		}
		s.own(t, "scale", current, wanted, w)
		return wanted, nil
	})
}

func (s *Service) applyScale(ctx context.Context, p authz.Permit, t *Type, c configuration, w Write) (Result, error) {
	return s.changeScale(ctx, p, t, w, func(current *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		out, err := c.into(s.owners[ownerKey{t, "scale"}], current, s, w)
		if err != nil {
			return nil, err
		}
		wanted, ok := out.(*autoscalingv1.Scale)
		if !ok {
			return nil, api.Internal(fmt.Errorf("%T is not a scale", out))
		}
		return wanted, nil
	})
}

// changeScale updates the object so that its replicas are what the changed scale says.
func (s *Service) changeScale(ctx context.Context, p authz.Permit, t *Type, w Write, change func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error)) (Result, error) {
	r, err := s.update(ctx, p, t, wholeObject, w, func(current Object) (Object, error) {
		sc, err := scaleOf(current)
		if err != nil {
			return nil, api.Internal(err)
		}
		version := t.GVK().GroupVersion()
		if sc.ManagedFields, err = fieldmanager.ScaleRecord(current.GetManagedFields(), version); err != nil {
			return nil, api.Internal(err)
		}
		wanted, err := change(sc)
		if err != nil {
			return nil, err
		}
		if err := matchUpdate(t, wanted, current.GetName(), current.GetNamespace()); err != nil {
			return nil, err
		}
		if wanted.Spec.Replicas < 0 {
			return nil, api.Invalid(scale.Kind.GroupKind(), current.GetName(), field.ErrorList{
				field.Invalid(field.NewPath("spec", "replicas"), wanted.Spec.Replicas, "must be greater than or equal to 0"),
			})
		}
		if err := checkExpected(t.GR(), current, wanted.UID, ""); err != nil {
			return nil, err
		}
		record, err := fieldmanager.ParentRecord(current.GetManagedFields(), wanted.ManagedFields, version)
		if err != nil {
			return nil, api.Internal(err)
		}
		next := current.DeepCopyObject().(Object)
		next.SetManagedFields(record)
		setReplicas(next, wanted.Spec.Replicas)
		next.SetResourceVersion(wanted.ResourceVersion)
		return next, nil
	})
	if err != nil {
		return Result{}, err
	}
	return s.getScale(t, r.Item)
}
