package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
)

// Bounds of what a TokenRequest may ask for.
const (
	MinExpiration     = 10 * time.Minute
	MaxExpiration     = (1 << 32) * time.Second
	DefaultExpiration = time.Hour
	MaxAudiences      = 64
	MaxAudienceBytes  = 4 << 10
)

// Kubelets ask for this many seconds when the pod's author asked for nothing; it marks the tokens that
// IssuerOptions.ExtendExpiration applies to, and extendedSeconds is what they get.
const (
	extendableSeconds = 3607
	extendedSeconds   = 365 * 24 * 60 * 60
)

// AnnotationIssuedCredential is the audit annotation of a TokenRequest that names the token it got.
const AnnotationIssuedCredential = "authentication.kubernetes.io/issued-credential-id"

// Pods finds the pod that a token is to be bound to.
type Pods interface {
	// Pod returns the pod as it is now, not as it was in a cache.
	Pod(ctx context.Context, namespace, name string) (pod *corev1.Pod, found bool, err error)
}

// IssuerOptions describe the tokens to issue.
type IssuerOptions struct {
	// Issuer is the iss claim. Where it contains a colon it must be a URL.
	Issuer string
	// Audiences are those of a token for which none are asked: the server's own.
	Audiences []string
	// Keys sign.
	Keys *Keys
	// Objects and Pods find what a token is bound to.
	Objects Objects
	Pods    Pods
	// Clock gives the time of issue.
	Clock func() time.Time
	// MaxExpiration shortens tokens for which more is asked. Zero means [MaxExpiration].
	MaxExpiration time.Duration
	// ExtendExpiration gives a pod's default token a year instead of the hour asked for, as kube-apiserver does for
	// clients that never read their token again. It makes a stolen token good for a year, so it is off by default.
	ExtendExpiration bool
	// JWKSURI is the https URL of the key document in the discovery document. Empty means there are no documents.
	JWKSURI string
}

// Issuer answers TokenRequests. It is safe for concurrent use.
type Issuer struct {
	opts     IssuerOptions
	external bool // the issuer and the JWKSURI are https URLs
}

// NewIssuer checks the options.
func NewIssuer(opts IssuerOptions) (*Issuer, error) {
	switch {
	case opts.Issuer == "":
		return nil, errors.New("service-account issuer: the name is empty")
	case len(opts.Audiences) == 0 || slices.Contains(opts.Audiences, ""):
		return nil, errors.New("service-account issuer: the audiences are missing or one is empty")
	case opts.Keys == nil || opts.Objects == nil || opts.Pods == nil || opts.Clock == nil:
		return nil, errors.New("service-account issuer: keys, objects, pods or clock are missing")
	case opts.MaxExpiration != 0 && (opts.MaxExpiration < time.Hour || opts.MaxExpiration > MaxExpiration):
		return nil, fmt.Errorf("service-account issuer: the maximum expiration %s is not between 1h and 2^32 seconds", opts.MaxExpiration)
	}
	if opts.MaxExpiration == 0 {
		opts.MaxExpiration = MaxExpiration
	}
	parsed, err := url.Parse(opts.Issuer)
	if strings.Contains(opts.Issuer, ":") && err != nil {
		return nil, fmt.Errorf("service-account issuer: %w", err)
	}
	external := err == nil && parsed.Scheme == "https" && parsed.RawQuery == "" && parsed.Fragment == ""
	if opts.JWKSURI != "" {
		if u, err := url.Parse(opts.JWKSURI); err != nil || u.Scheme != "https" {
			return nil, fmt.Errorf("service-account issuer: the JWKS URI %q is not an https URL", opts.JWKSURI)
		}
	}
	return &Issuer{opts: opts, external: external && opts.JWKSURI != ""}, nil
}

// Issued is the answer to a TokenRequest.
type Issued struct {
	// Request is the request with its defaults and its Status filled in. It holds the token: it is for the
	// client only.
	Request *authenticationv1.TokenRequest
	// CredentialID names the token in audit records.
	CredentialID string
	// Warnings are for the client.
	Warnings []string
}

// TokenRequest is [Issuer.Issue] without the identifier and the warnings.
func (i *Issuer) TokenRequest(ctx context.Context, sa *corev1.ServiceAccount, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	issued, err := i.Issue(ctx, sa, tr)
	if err != nil {
		return nil, err
	}
	return issued.Request, nil
}

// Issue makes a token for the service account. The request is not changed. What the client can mend is an [api.Error]: 422
// for bad fields, 409 for a uid that does not match, 404 or 400 for an object it cannot be bound to.
func (i *Issuer) Issue(ctx context.Context, sa *corev1.ServiceAccount, tr *authenticationv1.TokenRequest) (*Issued, error) {
	now := i.opts.Clock()
	out, err := i.defaulted(sa, tr, now)
	if err != nil {
		return nil, err
	}
	if errs := validate(&out.Spec); len(errs) > 0 {
		return nil, api.Invalid(tokenRequestKind(), "", errs)
	}
	private, err := i.bind(ctx, sa, out.Spec.BoundObjectRef)
	if err != nil {
		return nil, err
	}
	issued := &Issued{Request: out}
	seconds := *out.Spec.ExpirationSeconds
	if limit := int64(i.opts.MaxExpiration / time.Second); seconds > limit {
		issued.Warnings = []string{fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", seconds, limit)}
		seconds = limit
		out.Spec.ExpirationSeconds = &limit
	}
	out.Status.ExpirationTimestamp = metav1.NewTime(now.Add(time.Duration(seconds) * time.Second))
	if i.extends(private, &out.Spec) {
		warnAfter := now.Unix() + seconds
		private.WarnAfter, seconds = &warnAfter, extendedSeconds
	}
	id := uuid.NewString()
	start, end := now.Unix(), now.Unix()+seconds
	out.Status.Token, err = i.opts.Keys.current.Load().sign(&claims{
		Issuer: i.opts.Issuer, Subject: api.ServiceAccountPrefix + sa.Namespace + ":" + sa.Name, Audience: out.Spec.Audiences,
		Expires: &end, NotBefore: &start, IssuedAt: &start, ID: id, Kubernetes: private,
	})
	if err != nil {
		return nil, fmt.Errorf("sign token of %s/%s: %w", sa.Namespace, sa.Name, err)
	}
	issued.CredentialID = credentialID(id)
	return issued, nil
}

func (i *Issuer) extends(private kubernetes, spec *authenticationv1.TokenRequestSpec) bool {
	return i.opts.ExtendExpiration && private.Pod != nil && *spec.ExpirationSeconds == extendableSeconds &&
		!slices.ContainsFunc(spec.Audiences, func(a string) bool { return !slices.Contains(i.opts.Audiences, a) })
}

// defaulted returns a copy of the request that is about this service account and has its optional fields set.
func (i *Issuer) defaulted(sa *corev1.ServiceAccount, tr *authenticationv1.TokenRequest, now time.Time) (*authenticationv1.TokenRequest, error) {
	out, meta := tr.DeepCopy(), field.NewPath("metadata")
	switch {
	case out.Name != "" && out.Name != sa.Name:
		return nil, api.Invalid(tokenRequestKind(), sa.Name, field.ErrorList{
			field.Invalid(meta.Child("name"), out.Name, "must match the service account name if specified"),
		})
	case out.Namespace != "" && out.Namespace != sa.Namespace:
		return nil, api.Invalid(tokenRequestKind(), sa.Name, field.ErrorList{
			field.Invalid(meta.Child("namespace"), out.Namespace, "must match the service account namespace if specified"),
		})
	case out.UID != "" && out.UID != sa.UID:
		return nil, api.Conflict(schema.GroupResource{Group: authenticationv1.GroupName, Resource: "TokenRequest"}, sa.Name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", out.UID, sa.UID))
	}
	out.Name, out.Namespace, out.UID = sa.Name, sa.Namespace, sa.UID
	out.CreationTimestamp = metav1.NewTime(now)
	out.Status = authenticationv1.TokenRequestStatus{}
	if len(out.Spec.Audiences) == 0 {
		out.Spec.Audiences = slices.Clone(i.opts.Audiences)
	}
	if out.Spec.ExpirationSeconds == nil {
		seconds := int64(DefaultExpiration / time.Second)
		out.Spec.ExpirationSeconds = &seconds
	}
	return out, nil
}

func validate(spec *authenticationv1.TokenRequestSpec) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec")
	switch seconds := *spec.ExpirationSeconds; {
	case seconds < int64(MinExpiration/time.Second):
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes"))
	case seconds > int64(MaxExpiration/time.Second):
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	size := 0
	for n, audience := range spec.Audiences {
		size += len(audience)
		if audience == "" {
			errs = append(errs, field.Required(path.Child("audiences").Index(n), "may not be empty"))
		}
	}
	if len(spec.Audiences) > MaxAudiences {
		errs = append(errs, field.TooMany(path.Child("audiences"), len(spec.Audiences), MaxAudiences))
	}
	if size > MaxAudienceBytes {
		errs = append(errs, field.TooLong(path.Child("audiences"), nil, MaxAudienceBytes))
	}
	return errs
}

// bind makes the private claims; the object to bind to must exist and have the uid that was asked for, if one was.
func (i *Issuer) bind(ctx context.Context, sa *corev1.ServiceAccount, to *authenticationv1.BoundObjectReference) (kubernetes, error) {
	private := kubernetes{Namespace: sa.Namespace, ServiceAccount: ref{Name: sa.Name, UID: string(sa.UID)}}
	if to == nil {
		return private, nil
	}
	gvk := schema.FromAPIVersionAndKind(to.APIVersion, to.Kind)
	if to.Name == "" {
		return private, api.BadRequest("spec.boundObjectRef has no name")
	}
	uid, err := "", error(nil)
	switch gvk.GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		private.Pod, private.Node, err = i.pod(ctx, sa, to.Name)
		if private.Pod != nil {
			uid = private.Pod.UID
		}
	case schema.GroupKind{Kind: "Secret"}:
		uid, err = i.lookup(ctx, "Secret", "secrets", sa.Namespace, to.Name)
		private.Secret = &ref{Name: to.Name, UID: uid}
	case schema.GroupKind{Kind: "Node"}:
		uid, err = i.lookup(ctx, "Node", "nodes", "", to.Name)
		private.Node = &ref{Name: to.Name, UID: uid}
	default:
		return private, api.BadRequest("cannot bind token to object of type %s", gvk.String())
	}
	if err != nil {
		return private, err
	}
	if to.UID != "" && to.UID != types.UID(uid) {
		return private, api.Conflict(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, to.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", to.UID))
	}
	return private, nil
}

// pod finds the pod, which must run as the service account, and the node it is on, if it is on one.
func (i *Issuer) pod(ctx context.Context, sa *corev1.ServiceAccount, name string) (pod, node *ref, err error) {
	found, ok, err := i.opts.Pods.Pod(ctx, sa.Namespace, name)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("look up Pod %s/%s: %w", sa.Namespace, name, err)
	case !ok:
		return nil, nil, api.NotFound(corev1.Resource("pods"), name)
	case found.Spec.ServiceAccountName != sa.Name:
		return nil, nil, api.BadRequest("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", sa.Name)
	}
	pod = &ref{Name: found.Name, UID: string(found.UID)}
	if found.Spec.NodeName == "" {
		return pod, nil, nil
	}
	uid, _, known, err := i.opts.Objects.Lookup(ctx, "Node", "", found.Spec.NodeName)
	if err != nil {
		return nil, nil, fmt.Errorf("look up Node %s: %w", found.Spec.NodeName, err)
	}
	node = &ref{Name: found.Spec.NodeName}
	if known {
		node.UID = uid
	}
	return pod, node, nil
}

func (i *Issuer) lookup(ctx context.Context, kind, resource, namespace, name string) (uid string, err error) {
	uid, _, found, err := i.opts.Objects.Lookup(ctx, kind, namespace, name)
	if err != nil {
		return "", fmt.Errorf("look up %s %s: %w", kind, name, err)
	}
	if !found {
		return "", api.NotFound(corev1.Resource(resource), name)
	}
	return uid, nil
}

func tokenRequestKind() schema.GroupKind {
	return schema.GroupKind{Group: authenticationv1.GroupName, Kind: "TokenRequest"}
}
