package flags

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// RequestHeader says which front proxies are believed whom they have authenticated, and in which headers they state it. The zero
// value believes none.
type RequestHeader struct {
	// ClientCAFile holds the authorities of the proxies' certificates. Empty means that no proxy is believed.
	ClientCAFile string
	// AllowedNames are the common names a proxy may have. Empty allows every certificate of ClientCAFile, which the hardened profile
	// refuses.
	AllowedNames []string
	// UsernameHeaders, UIDHeaders and GroupHeaders are names of headers, the first that is set wins.
	UsernameHeaders []string
	UIDHeaders      []string
	GroupHeaders    []string
	// ExtraHeaderPrefixes are what the headers of extras begin with.
	ExtraHeaderPrefixes []string
}

func registerAuthentication(fs *pflag.FlagSet, o *Options) {
	fs.StringVar(&o.ClientCAFile, "client-ca-file", "", "authorities whose client certificates are accepted, beside the one in the data directory")
	fs.StringVar(&o.ClientCRLFile, "client-crl-file", "",
		"certificate revocation lists (PEM or DER), each signed by an authority of client certificates; an overdue list refuses all certificates of its issuer")
	fs.StringVar(&o.DenyListFile, "deny-list-file", "",
		"DenyList of certificates, keys, token ids and user uids that are refused; read again within a second, and open watches end")
	fs.StringVar(&o.TokenAuthFile, "token-auth-file", "", `CSV file of static tokens: token,user,uid,"group1,group2"`)
	fs.Var(parsed[Anonymous]{&o.Anonymous, parseAnonymous, formatAnonymous, "true|false|health"},
		"anonymous-auth", "let requests without credentials in as system:anonymous; health lets them ask for health and version only")
	fs.Lookup("anonymous-auth").NoOptDefVal = "true"
	fs.StringArrayVar(&o.ServiceAccountIssuers, "service-account-issuer", nil,
		"issuer of service-account tokens; the first signs, further ones are accepted too (default the URL of this server)")
	fs.StringArrayVar(&o.ServiceAccountKeyFiles, "service-account-key-file", nil,
		"keys that verify service-account tokens, may be repeated (default the public half of the signing key)")
	fs.StringVar(&o.ServiceAccountSigningKeyFile, "service-account-signing-key-file", "",
		"key that signs service-account tokens (default the one in the data directory)")
	fs.DurationVar(&o.ServiceAccountMaxTokenExpiration, "service-account-max-token-expiration", 0,
		"longest life of a service-account token; a request for more is cut to it (default no limit)")
	fs.BoolVar(&o.ServiceAccountExtendTokenExpiration, "service-account-extend-token-expiration", false,
		"let the tokens in pods live for a year, for clients that never read them again")
	fs.StringVar(&o.ServiceAccountJWKSURI, "service-account-jwks-uri", "",
		"https URL of the key set that the discovery document names (default that of this server)")
	fs.StringSliceVar(&o.APIAudiences, "api-audiences", nil, "audiences that a token must name one of (default the issuers)")
	fs.BoolVar(&o.BootstrapTokenAuth, "enable-bootstrap-token-auth", false,
		"accept the tokens in Secrets of type bootstrap.kubernetes.io/token in kube-system, with which machines join")
	registerRequestHeader(fs, &o.RequestHeader)
	fs.StringVar(&o.AuthenticationConfigFile, "authentication-config", "",
		"AuthenticationConfiguration: issuers of JSON Web Tokens, and who may be anonymous; instead of --oidc-*, and of --anonymous-auth if it says so")
	registerOIDC(fs, &o.OIDC)
	w := &o.TokenWebhook
	fs.StringVar(&w.ConfigFile, "authentication-token-webhook-config-file", "", "kubeconfig of a service that is asked about bearer tokens nobody else knows")
	fs.StringVar(&w.Version, "authentication-token-webhook-version", "v1beta1", "version of TokenReview that the service speaks: v1 or v1beta1")
	fs.DurationVar(&w.CacheTTL, "authentication-token-webhook-cache-ttl", 2*time.Minute, "how long answers of the service are remembered; 0 asks each time")
}

func registerRequestHeader(fs *pflag.FlagSet, r *RequestHeader) {
	fs.StringVar(&r.ClientCAFile, "requestheader-client-ca-file", "",
		"authorities of front proxies, which state in headers whom they have authenticated")
	fs.StringSliceVar(&r.AllowedNames, "requestheader-allowed-names", nil,
		"common names that the certificate of a front proxy may have (default any, which the hardened profile refuses)")
	fs.StringSliceVar(&r.UsernameHeaders, "requestheader-username-headers", nil, "headers in which a front proxy states the user, such as X-Remote-User")
	fs.StringSliceVar(&r.UIDHeaders, "requestheader-uid-headers", nil, "headers in which a front proxy states the user's uid, such as X-Remote-Uid")
	fs.StringSliceVar(&r.GroupHeaders, "requestheader-group-headers", nil, "headers in which a front proxy states the user's groups, such as X-Remote-Group")
	fs.StringSliceVar(&r.ExtraHeaderPrefixes, "requestheader-extra-headers-prefix", nil,
		"what headers begin with in which a front proxy states extras of the user, such as X-Remote-Extra-")
}

func (o *Options) validateRequestHeader(f *faults) {
	r := o.RequestHeader
	for _, list := range []struct {
		flag   string
		values []string
	}{
		{"requestheader-username-headers", r.UsernameHeaders},
		{"requestheader-group-headers", r.GroupHeaders},
		{"requestheader-extra-headers-prefix", r.ExtraHeaderPrefixes},
		{"requestheader-allowed-names", r.AllowedNames},
		{"requestheader-uid-headers", r.UIDHeaders},
	} {
		few(f, list.flag, list.values)
		if slices.ContainsFunc(list.values, func(v string) bool { return strings.TrimSpace(v) == "" }) {
			f.add(list.flag, ": empty value in %q", list.flag)
		}
	}
	if len(r.UIDHeaders) > 0 && !hasFold(r.UIDHeaders, "X-Remote-Uid") {
		f.add("requestheader-uid-headers", " is set without specifying the standard X-Remote-Uid header - API aggregation will not work")
	}
	if o.Profile == Hardened && r.ClientCAFile != "" && len(r.AllowedNames) == 0 {
		f.add("requestheader-allowed-names", ": the hardened profile needs the names of the proxies with --requestheader-client-ca-file")
	}
}

// noteRequestHeader warns where extension servers would not find what they look for.
func (o *Options) noteRequestHeader() (notes []string) {
	for _, list := range []struct {
		flag, standard string
		values         []string
	}{
		{"requestheader-username-headers", "X-Remote-User header", o.RequestHeader.UsernameHeaders},
		{"requestheader-group-headers", "X-Remote-Group header", o.RequestHeader.GroupHeaders},
		{"requestheader-extra-headers-prefix", "X-Remote-Extra- header prefix", o.RequestHeader.ExtraHeaderPrefixes},
	} {
		name, _, _ := strings.Cut(list.standard, " ")
		if len(list.values) > 0 && !hasFold(list.values, name) {
			notes = append(notes, "--"+list.flag+" is set without specifying the standard "+list.standard+" - API aggregation will not work")
		}
	}
	return notes
}

func hasFold(values []string, want string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, want) })
}

// TokenWebhook says which service is asked about bearer tokens. The zero value asks none.
type TokenWebhook struct {
	// ConfigFile is a kubeconfig. Empty means that nobody is asked.
	ConfigFile string
	// Version of TokenReview: v1 or v1beta1.
	Version string
	// CacheTTL is how long answers are remembered; 0 remembers none.
	CacheTTL time.Duration
}

const maxWebhookCacheTTL = 24 * time.Hour

func (o *Options) validateTokenWebhook(f *faults) {
	w := o.TokenWebhook
	if w.ConfigFile == "" {
		return
	}
	if w.Version != "v1" && w.Version != "v1beta1" {
		f.add("authentication-token-webhook-version", "=%s: unsupported authentication webhook version %q, supported versions are %q, %q",
			w.Version, w.Version, "v1", "v1beta1")
	}
	during(f, "authentication-token-webhook-cache-ttl", w.CacheTTL, 0, maxWebhookCacheTTL)
}

func (o *Options) validateJWKSURI(f *faults) {
	if o.ServiceAccountJWKSURI == "" {
		return
	}
	switch u, err := url.Parse(o.ServiceAccountJWKSURI); {
	case err != nil:
		f.add("service-account-jwks-uri", " must be a valid URL: %v", reason(err))
	case u.Scheme != "https" || u.Host == "":
		f.add("service-account-jwks-uri", " requires https scheme, parsed as: %s", u.Redacted())
	}
}
