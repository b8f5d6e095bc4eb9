package podsecurity

import (
	"fmt"

	"k8s.io/pod-security-admission/admission/api/load"
	"k8s.io/pod-security-admission/admission/api/validation"
	psapi "k8s.io/pod-security-admission/api"

	configapi "k8s.io/pod-security-admission/admission/api"
)

// Config says what holds for namespaces that do not say, and who is exempt.
type Config struct {
	// Defaults are the levels where labels are missing.
	Defaults psapi.Policy
	// Namespaces, Usernames and RuntimeClasses are exempt from all levels.
	Namespaces, Usernames, RuntimeClasses []string
}

// ParseConfig reads a PodSecurityConfiguration of pod-security.admission.config.k8s.io, strictly. Nil gives kube-apiserver's default: nothing is enforced
// where no label asks for it, and nobody is exempt.
func ParseConfig(data []byte) (Config, error) {
	parsed, err := load.LoadFromData(data)
	if err != nil {
		return Config{}, err
	}
	if errs := validation.ValidatePodSecurityConfiguration(parsed); len(errs) > 0 {
		return Config{}, fmt.Errorf("PodSecurityConfiguration: %w", errs.ToAggregate())
	}
	defaults, err := configapi.ToPolicy(parsed.Defaults)
	if err != nil {
		return Config{}, fmt.Errorf("PodSecurityConfiguration: %w", err)
	}
	e := parsed.Exemptions
	return Config{Defaults: defaults, Namespaces: e.Namespaces, Usernames: e.Usernames, RuntimeClasses: e.RuntimeClasses}, nil
}
