package flags

import "fmt"

// Profile is a set of defaults.
type Profile string

const (
	// Hardened is safe without any flag and refuses what would make it unsafe.
	Hardened Profile = "hardened"
	// Compatible has the defaults of kube-apiserver.
	Compatible Profile = "compatible"
)

func parseProfile(s string) (Profile, error) {
	switch p := Profile(s); p {
	case Hardened, Compatible:
		return p, nil
	}
	return "", fmt.Errorf("want %s or %s", Hardened, Compatible)
}

// Anonymous says which requests need no credentials.
type Anonymous string

const (
	// AnonymousNone asks everybody for credentials. It is the zero value.
	AnonymousNone Anonymous = ""
	// AnonymousHealth lets everybody ask for /livez, /readyz, /healthz and /version.
	AnonymousHealth Anonymous = "health"
	// AnonymousAny lets requests without credentials in as system:anonymous; what that user may do is for
	// authorization.
	AnonymousAny Anonymous = "any"
)

// parseAnonymous reads kube-apiserver's boolean and our third value.
func parseAnonymous(s string) (Anonymous, error) {
	switch s {
	case "true", "t", "T", "TRUE", "True", "1":
		return AnonymousAny, nil
	case "false", "f", "F", "FALSE", "False", "0":
		return AnonymousNone, nil
	case "health":
		return AnonymousHealth, nil
	}
	return AnonymousNone, fmt.Errorf("want true, false or health")
}

func formatAnonymous(a Anonymous) string {
	switch a {
	case AnonymousAny:
		return "true"
	case AnonymousHealth:
		return "health"
	}
	return "false"
}

// differing are the defaults that the profiles do not share, by flag.
func differing(p Profile) map[string]string {
	if p == Compatible {
		return map[string]string{
			"data-dir":           "",
			"standalone-loops":   "false",
			"bind-address":       "0.0.0.0",
			"cert-dir":           "/var/run/kubernetes",
			"anonymous-auth":     "true",
			"authorization-mode": AlwaysAllow,
			"service-account-extend-token-expiration": "true",
			"kubelet-allow-loopback":                  "true",
			"peer-rate-limit":                         "0",
			"client-rate-limit":                       "0",
		}
	}
	return map[string]string{
		"data-dir":           "./gatehouse-data",
		"standalone-loops":   "true",
		"bind-address":       "127.0.0.1",
		"cert-dir":           "",
		"anonymous-auth":     "health",
		"authorization-mode": Node + "," + RBAC,
		"service-account-extend-token-expiration": "false",
		"kubelet-allow-loopback":                  "false",
		"peer-rate-limit":                         "5000",
		"client-rate-limit":                       "500",
	}
}
