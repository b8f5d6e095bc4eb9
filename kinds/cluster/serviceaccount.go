package cluster

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/rules"
)

// mountableSecrets is the annotation that once bound an account to the secrets it lists.
const mountableSecrets = "kubernetes.io/enforce-mountable-secrets"

// ServiceAccount are the rules of the accounts that pods run as.
func ServiceAccount() *rules.Kind {
	return rules.For(rules.Spec[corev1.ServiceAccount]{
		Create: keepSecretNames,
		Update: func(a, _ *corev1.ServiceAccount) { keepSecretNames(a) },
		Fields: []rules.Entry{rules.At("", rules.Check(func(c *rules.Checker, a, old *corev1.ServiceAccount) {
			if _, now := a.Annotations[mountableSecrets]; !now {
				return
			}
			if old != nil {
				if _, before := old.Annotations[mountableSecrets]; before {
					return
				}
			}
			c.Warn("metadata.annotations[" + mountableSecrets + "]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets")
		}))},
	})
}

// keepSecretNames leaves of references to secrets only the name, since an account can only mean those beside it.
func keepSecretNames(a *corev1.ServiceAccount) {
	for i := range a.Secrets {
		a.Secrets[i] = corev1.ObjectReference{Name: a.Secrets[i].Name}
	}
}
