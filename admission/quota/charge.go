package quota

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/gatehouse/gatehouse/admission"
)

// charge returns the quotas as they are once the object is charged to those that are about it; the others it returns as they are. It
// changes none of those that it is given. A refusal is 403.
func (e *evaluator) charge(quotas []*corev1.ResourceQuota, a *admission.Attributes) ([]*corev1.ResourceQuota, error) {
	about, err := e.concerned(quotas, a)
	if err != nil || len(about) == 0 {
		return quotas, err
	}
	used, err := e.usage(a.Object)
	if err != nil {
		return nil, err
	}
	if negative := only(used, func(name corev1.ResourceName) bool { n := used[name]; return n.Sign() < 0 }); len(negative) > 0 {
		return nil, a.Forbidden(fmt.Errorf("quota usage is negative for resource(s): %s", joined(names(negative))))
	}
	charged := slices.Clone(quotas)
	for _, i := range about {
		more, err := e.more(quotas[i], a, used)
		if err != nil {
			return nil, err
		}
		if charged[i], err = add(quotas[i], a, more); err != nil {
			return nil, err
		}
	}
	return charged, nil
}

// concerned returns which of the quotas are about the object, as indices. It refuses an object that leaves open what one of them
// limits, and any object while it is not known what is used.
func (e *evaluator) concerned(quotas []*corev1.ResourceQuota, a *admission.Attributes) (about []int, err error) {
	for i, q := range quotas {
		ok, err := e.charges(q, a.Object)
		if err != nil {
			return nil, fmt.Errorf("error matching scopes of quota %s, err: %w", q.Name, err)
		}
		if !ok {
			continue
		}
		limited := names(only(q.Status.Hard, e.measures))
		if e.demands != nil {
			if err := e.demands(limited, a.Object); err != nil {
				return nil, a.Forbidden(fmt.Errorf("failed quota: %s: %w", q.Name, err))
			}
		}
		for _, name := range limited {
			if _, known := q.Status.Used[name]; !known {
				return nil, a.Forbidden(fmt.Errorf("status unknown for quota: %s, resources: %s", q.Name, joined(limited)))
			}
		}
		about = append(about, i)
	}
	return about, nil
}

// more is what the object uses more than before: all of it, unless the same quota was charged for what it was.
func (e *evaluator) more(q *corev1.ResourceQuota, a *admission.Attributes, used amounts) (amounts, error) {
	if a.Operation != admission.Update {
		return growth(used, nil), nil
	}
	if a.OldObject == nil {
		return nil, a.Forbidden(errors.New("unable to get previous usage since prior version of object was not found"))
	}
	if m, err := meta.Accessor(a.OldObject); err != nil || m.GetResourceVersion() == "" {
		return growth(used, nil), nil
	}
	was, err := e.charges(q, a.OldObject)
	if err != nil || !was {
		return growth(used, nil), err
	}
	before, err := e.usage(a.OldObject)
	return growth(used, before), err
}

// add is the quota with more used; the quota itself if that changes nothing. A status is what has happened already, so it is charged
// for even where it is too much.
func add(q *corev1.ResourceQuota, a *admission.Attributes, more amounts) (*corev1.ResourceQuota, error) {
	more = only(more, in(q.Status.Hard))
	if len(more) == 0 {
		return q, nil
	}
	used := sumOf(q.Status.Used, more)
	exceeded := func(name corev1.ResourceName) bool {
		_, asked := more[name]
		n := used[name]
		return asked && n.Cmp(q.Status.Hard[name]) > 0
	}
	if over := only(more, exceeded); len(over) > 0 && a.Subresource != "status" {
		return nil, a.Forbidden(fmt.Errorf("exceeded quota: %s, requested: %s, used: %s, limited: %s",
			q.Name, listed(over), listed(only(q.Status.Used, exceeded)), listed(only(q.Status.Hard, exceeded))))
	}
	charged := q.DeepCopy()
	charged.Status.Used = used
	return charged, nil
}

// changed returns those of the quotas after that are not the same before.
func changed(before, after []*corev1.ResourceQuota) []*corev1.ResourceQuota {
	var list []*corev1.ResourceQuota
	for i, q := range after {
		if q != before[i] && !same(q.Status.Used, before[i].Status.Used) {
			list = append(list, q)
		}
	}
	return list
}
