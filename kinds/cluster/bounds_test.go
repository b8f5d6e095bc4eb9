package cluster_test

import (
	"slices"
	"strconv"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/cluster"
)

// TestLongLists guards against work that grows faster than the request: over all pairs of what these list, the rules would take minutes.
func TestLongLists(t *testing.T) {
	const many = 49_000
	// An old request with a usage that is not known is spared the errors about those, so that only the one about the last is left.
	old := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{Usages: []certificatesv1.KeyUsage{"x"}}}
	csr := old.DeepCopy()
	quota := &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{}, ScopeSelector: &corev1.ScopeSelector{}}}
	for i := range many {
		csr.Spec.Usages = append(csr.Spec.Usages, certificatesv1.KeyUsage(strconv.Itoa(i)))
		quota.Spec.Scopes = append(quota.Spec.Scopes, corev1.ResourceQuotaScopeBestEffort)
		quota.Spec.ScopeSelector.MatchExpressions = append(quota.Spec.ScopeSelector.MatchExpressions, corev1.ScopedResourceSelectorRequirement{
			ScopeName: corev1.ResourceQuotaScopeBestEffort, Operator: corev1.ScopeSelectorOpExists,
		})
		quota.Spec.Hard[corev1.ResourceName("n"+strconv.Itoa(i))] = resource.MustParse("1")
	}
	csr.Spec.Usages = append(csr.Spec.Usages, "7")
	twice := "spec.usages[" + strconv.Itoa(many+1) + "]"
	errs, _ := cluster.CertificateSigningRequest().Check("", csr, old)
	if n := len(errs); !slices.ContainsFunc(errs, func(e *field.Error) bool { return e.Field == twice && e.Type == field.ErrorTypeDuplicate }) {
		t.Errorf("%d errors, none about %s", n, twice)
	}
	if errs, _ := cluster.ResourceQuota().Check("", quota, nil); len(errs) == 0 {
		t.Error("a quota of resources that there are not passes")
	}
}
