package quota

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amounts are quantities by the name of what they are of. The functions here return new maps, and share no quantity with what they
// were given that could be changed through it.
type amounts = corev1.ResourceList

// count is n of something.
func count(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.DecimalSI) }

// addTo adds what b has to a.
func addTo(a, b amounts) {
	for name, q := range b {
		sum := q.DeepCopy()
		if had, ok := a[name]; ok {
			sum = had.DeepCopy()
			sum.Add(q)
		}
		a[name] = sum
	}
}

// raiseTo makes nothing in a less than what b has.
func raiseTo(a, b amounts) {
	for name, q := range b {
		if had, ok := a[name]; !ok || q.Cmp(had) > 0 {
			a[name] = q.DeepCopy()
		}
	}
}

// sumOf is a and b together.
func sumOf(a, b amounts) amounts {
	sum := a.DeepCopy()
	if sum == nil {
		sum = amounts{}
	}
	addTo(sum, b)
	return sum
}

// growth is by how much a is more than b, in what it is more.
func growth(a, b amounts) amounts {
	more := amounts{}
	for name, q := range a {
		q = q.DeepCopy()
		if had, ok := b[name]; ok {
			q.Sub(had)
		}
		if q.Sign() > 0 {
			more[name] = q
		}
	}
	return more
}

// only is the part of a that has one of the names.
func only(a amounts, has func(corev1.ResourceName) bool) amounts {
	part := amounts{}
	for name, q := range a {
		if has(name) {
			part[name] = q.DeepCopy()
		}
	}
	return part
}

// in tells the names that a has.
func in(a amounts) func(corev1.ResourceName) bool {
	return func(name corev1.ResourceName) bool { _, ok := a[name]; return ok }
}

// same reports whether a and b have equal amounts of the same.
func same(a, b amounts) bool {
	return maps.EqualFunc(a, b, func(x, y resource.Quantity) bool { return x.Cmp(y) == 0 })
}

// names are the sorted names.
func names(a amounts) []corev1.ResourceName { return slices.Sorted(maps.Keys(a)) }

// listed writes amounts for a refusal: cpu=1,pods=2.
func listed(a amounts) string {
	var parts []string
	for _, name := range names(a) {
		q := a[name]
		parts = append(parts, string(name)+"="+q.String())
	}
	return strings.Join(parts, ",")
}

// joined writes names for a refusal.
func joined(list []corev1.ResourceName) string {
	var parts []string
	for _, name := range list {
		parts = append(parts, string(name))
	}
	return strings.Join(parts, ",")
}
