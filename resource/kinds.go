package resource

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
)

// What the server decides about a kind from the request or the time. All else about kinds is in the tables of package kinds.

// createCSR stamps the requester: what a signer will trust must not come from the body.
func createCSR(o Object, user api.User) {
	csr := o.(*certificatesv1.CertificateSigningRequest)
	csr.Spec.Username, csr.Spec.UID, csr.Spec.Groups, csr.Spec.Extra = user.Name, user.UID, user.Groups, nil
	if len(user.Extra) > 0 {
		csr.Spec.Extra = make(map[string]certificatesv1.ExtraValue, len(user.Extra))
		for key, values := range user.Extra {
			csr.Spec.Extra[key] = values
		}
	}
}

// stampCSR sets the times that conditions leave out, when one of the subresources writes them: a condition that holds on keeps the
// time since which it does.
func stampCSR(o, old Object, now metav1.Time) {
	csr, was := o.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	for i := range csr.Status.Conditions {
		c := &csr.Status.Conditions[i]
		if c.LastUpdateTime.IsZero() {
			c.LastUpdateTime = now
		}
		if !c.LastTransitionTime.IsZero() {
			continue
		}
		c.LastTransitionTime = now
		for _, before := range was.Status.Conditions {
			if before.Type == c.Type && before.Status == c.Status && !before.LastTransitionTime.IsZero() {
				c.LastTransitionTime = before.LastTransitionTime
				break
			}
		}
	}
}

// anyName leaves a name to the checks that go for all kinds.
func anyName(string, bool) []string { return nil }
