package cluster

import (
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

type (
	csr          = certificatesv1.CertificateSigningRequest
	csrCondition = certificatesv1.CertificateSigningRequestCondition
)

// csrRights are what an update may do with the status of a request, which depends on the subresource it is made through.
type csrRights struct{ approve, issue bool }

// CertificateSigningRequest are the rules of requests for certificates. What a signer will trust is decided by few: nobody writes the
// spec again, only the approval subresource approves or denies, only the status subresource has the certificate, and neither takes
// anything back.
//
// Who asks is not set here: that comes from the request.
func CertificateSigningRequest() *rules.Kind {
	return rules.For(rules.Spec[csr]{
		Create: func(r *csr) { r.Status = certificatesv1.CertificateSigningRequestStatus{} },
		Update: func(r, old *csr) { r.Spec, r.Status = *old.Spec.DeepCopy(), *old.Status.DeepCopy() },
		Fields: csrFields(csrRights{}),
		Parts: map[string]rules.Part[csr]{
			"status": {
				Update: func(r, old *csr) {
					r.Spec = *old.Spec.DeepCopy()
					keepConditions(r, old, certificatesv1.CertificateApproved)
					keepConditions(r, old, certificatesv1.CertificateDenied)
				},
				Fields: csrFields(csrRights{issue: true}),
			},
			"approval": {
				Update: func(r, old *csr) {
					conditions := r.Status.Conditions
					r.Spec, r.Status = *old.Spec.DeepCopy(), *old.Status.DeepCopy()
					r.Status.Conditions = conditions
				},
				Fields: csrFields(csrRights{approve: true}),
			},
		},
	})
}

func csrFields(rights csrRights) []rules.Entry {
	return []rules.Entry{
		rules.At("spec", rules.Check(checkCSRSpec)),
		rules.At("", rules.Check(checkConditions), rules.Check(checkCertificate), rules.Check(rights.check)),
	}
}

// keepConditions gives the conditions of a type the values they had, as long as there are as many; otherwise [csrRights.check] sees it.
func keepConditions(r, old *csr, t certificatesv1.RequestConditionType) {
	was := conditionsOf(old, t)
	if len(was) != len(conditionsOf(r, t)) {
		return
	}
	for i := range r.Status.Conditions {
		if r.Status.Conditions[i].Type == t {
			r.Status.Conditions[i], was = was[0], was[1:]
		}
	}
}

func conditionsOf(r *csr, t certificatesv1.RequestConditionType) (found []csrCondition) {
	for _, c := range r.Status.Conditions {
		if c.Type == t {
			found = append(found, c)
		}
	}
	return found
}

func checkConditions(c *rules.Checker, r, old *csr) {
	path := func() *field.Path { return c.At("status", "conditions") }
	tolerated := faultsOf(old)
	seen := map[certificatesv1.RequestConditionType]bool{}
	for i, condition := range r.Status.Conditions {
		if condition.Type == "" && !tolerated.emptyType {
			c.Add(field.Required(path().Index(i).Child("type"), ""))
		}
		checkConditionStatus(c, condition, func() *field.Path { return path().Index(i).Child("status") })
		if !tolerated.both && (condition.Type == certificatesv1.CertificateApproved && seen[certificatesv1.CertificateDenied] ||
			condition.Type == certificatesv1.CertificateDenied && seen[certificatesv1.CertificateApproved]) {
			c.Add(field.Invalid(path(), condition.Type, "Approved and Denied conditions are mutually exclusive"))
		}
		if seen[condition.Type] && !tolerated.twice {
			c.Add(field.Duplicate(path().Index(i).Child("type"), condition.Type))
		}
		seen[condition.Type] = true
	}
}

func checkConditionStatus(c *rules.Checker, condition csrCondition, path func() *field.Path) {
	allowed := []string{"False", "True", "Unknown"}
	switch condition.Type {
	case certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
		allowed = []string{"True"}
	}
	switch {
	case condition.Status == "":
		c.Add(field.Required(path(), ""))
	case !slices.Contains(allowed, string(condition.Status)):
		c.Add(field.NotSupported(path(), condition.Status, allowed))
	}
}

// csrFaults are faults of stored conditions that updates may keep.
type csrFaults struct{ emptyType, both, twice bool }

func faultsOf(old *csr) csrFaults {
	if old == nil {
		return csrFaults{}
	}
	f := csrFaults{
		emptyType: len(conditionsOf(old, "")) > 0,
		both:      len(conditionsOf(old, certificatesv1.CertificateApproved)) > 0 && len(conditionsOf(old, certificatesv1.CertificateDenied)) > 0,
	}
	for _, condition := range old.Status.Conditions {
		f.twice = f.twice || len(conditionsOf(old, condition.Type)) > 1
	}
	return f
}

// check refuses what the subresource has no right to: decisions are only added, and only where rights allow them; a certificate
// is set once.
func (rights csrRights) check(c *rules.Checker, r, old *csr) {
	if old == nil {
		return
	}
	path := func() *field.Path { return c.At("status", "conditions") }
	decisions := []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied}
	for _, t := range slices.Concat(decisions, []certificatesv1.RequestConditionType{certificatesv1.CertificateFailed}) {
		if len(conditionsOf(r, t)) < len(conditionsOf(old, t)) {
			c.Add(field.Forbidden(path(), fmt.Sprintf("updates may not remove a condition of type %q", t)))
		}
	}
	for _, t := range decisions {
		now, was := conditionsOf(r, t), conditionsOf(old, t)
		switch {
		case rights.approve || len(now) < len(was):
		case len(now) > len(was):
			c.Add(field.Forbidden(path(), fmt.Sprintf("updates may not add a condition of type %q", t)))
		case !apiequality.Semantic.DeepEqual(was, now):
			c.Add(field.Forbidden(path(), fmt.Sprintf("updates may not modify a condition of type %q\n%v", t, rules.Diff(was, now))))
		}
	}
	if slices.Equal(r.Status.Certificate, old.Status.Certificate) {
		return
	}
	switch {
	case !rights.issue:
		c.Add(field.Forbidden(c.At("status", "certificate"), "updates may not set certificate content"))
	case len(old.Status.Certificate) > 0:
		c.Add(field.Forbidden(c.At("status", "certificate"), "updates may not modify existing certificate content"))
	}
}
