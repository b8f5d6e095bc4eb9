package authn

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse/gatehouse/api"
)

// ServiceAccountUser is the user that a service account is to the API: its name and its two groups.
func ServiceAccountUser(namespace, name string) api.User {
	return api.User{
		Name:   api.ServiceAccountPrefix + namespace + ":" + name,
		Groups: []string{api.GroupServiceAccounts, api.GroupServiceAccounts + ":" + namespace},
	}
}

// ServiceAccountName splits a user name of the form system:serviceaccount:NAMESPACE:NAME. It reports false for any
// other name, and where namespace or name could not be those of an object.
func ServiceAccountName(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, api.ServiceAccountPrefix)
	if !ok {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(rest, ":")
	if !ok || len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return "", "", false
	}
	return namespace, name, true
}
