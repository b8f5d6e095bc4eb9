package serviceaccount

import (
	"fmt"
	"time"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
)

// result is the user that the claims of a token describe, once they are known to hold.
func result(c *claims, audiences []string, now time.Time) *authn.Result {
	k := c.Kubernetes
	res := &authn.Result{
		User:      authn.ServiceAccountUser(k.Namespace, k.ServiceAccount.Name),
		Method:    "serviceaccount",
		Audiences: audiences,
	}
	res.User.UID = k.ServiceAccount.UID
	res.User.Extra = map[string][]string{}
	set := func(key, value string) {
		if value != "" {
			res.User.Extra[key] = []string{value}
		}
	}
	if c.ID != "" {
		res.CredentialID = credentialID(c.ID)
		set(api.ExtraCredentialID, res.CredentialID)
	}
	if k.Pod != nil {
		set(ExtraPodName, k.Pod.Name)
		set(ExtraPodUID, k.Pod.UID)
	}
	if k.Node != nil {
		set(ExtraNodeName, k.Node.Name)
		set(ExtraNodeUID, k.Node.UID)
	}
	if k.WarnAfter != nil && *k.WarnAfter != 0 {
		if late := now.Unix() - *k.WarnAfter; late > 0 {
			res.Annotations = map[string]string{
				AnnotationStaleToken: fmt.Sprintf("subject: %s, seconds after warning threshold: %d", c.Subject, late),
			}
		}
	}
	return res
}

func credentialID(jti string) string { return "JTI=" + jti }
