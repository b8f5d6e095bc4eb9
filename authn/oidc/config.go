package oidc

import (
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/internal/pki"
)

const (
	configGroup = "apiserver.config.k8s.io"
	configKind  = "AuthenticationConfiguration"
)

// maxConfigBytes bounds the file.
const maxConfigBytes = 4 << 20

// Config is an AuthenticationConfiguration of apiserver.config.k8s.io/v1. [Load] and [Config.Validate] say what is wrong with one.
type Config struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// JWT are the issuers, 64 at most. None is allowed.
	JWT []JWT `json:"jwt"`
	// Anonymous says which requests need no credential; nil leaves it to --anonymous-auth.
	Anonymous *Anonymous `json:"anonymous,omitempty"`
}

// Anonymous allows requests without a credential, on any path or on some.
type Anonymous struct {
	Enabled bool `json:"enabled"`
	// Conditions are the paths, if there are any; otherwise every path is meant.
	Conditions []AnonymousCondition `json:"conditions,omitempty"`
}

// AnonymousCondition is a path, exactly.
type AnonymousCondition struct {
	Path string `json:"path"`
}

// JWT is an issuer and how its tokens become users.
type JWT struct {
	Issuer               Issuer                `json:"issuer"`
	ClaimValidationRules []ClaimValidationRule `json:"claimValidationRules,omitempty"`
	ClaimMappings        ClaimMappings         `json:"claimMappings"`
	UserValidationRules  []UserValidationRule  `json:"userValidationRules,omitempty"`
}

// Issuer says where tokens come from and whom they are for.
type Issuer struct {
	// URL is the iss of its tokens: https, without user, query and fragment.
	URL string `json:"url"`
	// DiscoveryURL is where the discovery document is, if not below URL.
	DiscoveryURL string `json:"discoveryURL,omitempty"`
	// CertificateAuthority in PEM verifies the issuer; empty means the authorities of the system.
	CertificateAuthority string `json:"certificateAuthority,omitempty"`
	// Audiences are those of which a token must name one. At least one is required.
	Audiences           []string `json:"audiences"`
	AudienceMatchPolicy string   `json:"audienceMatchPolicy,omitempty"`
	EgressSelectorType  string   `json:"egressSelectorType,omitempty"`
}

// ClaimValidationRule demands a value of a claim, or that an expression over claims is true.
type ClaimValidationRule struct {
	Claim         string `json:"claim,omitempty"`
	RequiredValue string `json:"requiredValue,omitempty"`
	Expression    string `json:"expression,omitempty"`
	Message       string `json:"message,omitempty"`
}

// ClaimMappings make a user of claims.
type ClaimMappings struct {
	Username PrefixedClaim  `json:"username"`
	Groups   PrefixedClaim  `json:"groups,omitempty"`
	UID      Claim          `json:"uid,omitempty"`
	Extra    []ExtraMapping `json:"extra,omitempty"`
}

// PrefixedClaim is a claim with a prefix, which may be empty but not missing, or an expression over claims.
type PrefixedClaim struct {
	Claim      string  `json:"claim,omitempty"`
	Prefix     *string `json:"prefix,omitempty"`
	Expression string  `json:"expression,omitempty"`
}

// Claim is a claim or an expression over claims.
type Claim struct {
	Claim      string `json:"claim,omitempty"`
	Expression string `json:"expression,omitempty"`
}

// ExtraMapping makes an extra of the user.
type ExtraMapping struct {
	Key             string `json:"key"`
	ValueExpression string `json:"valueExpression"`
}

// UserValidationRule demands that an expression over the user is true.
type UserValidationRule struct {
	Expression string `json:"expression"`
	Message    string `json:"message,omitempty"`
}

// Load reads a configuration. Unknown and repeated fields are errors. It is not validated.
func Load(path string) (*Config, error) {
	data, err := pki.ReadPublic(path, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	c, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func parse(data []byte) (*Config, error) {
	c := &Config{}
	if err := yaml.UnmarshalStrict(data, c); err != nil {
		return nil, err
	}
	versions := []string{configGroup + "/v1", configGroup + "/v1beta1", configGroup + "/v1alpha1"}
	if c.Kind != configKind || !slices.Contains(versions, c.APIVersion) {
		return nil, fmt.Errorf("apiVersion %.64q and kind %.64q: want %s and %s", c.APIVersion, c.Kind, versions[0], configKind)
	}
	return c, nil
}
