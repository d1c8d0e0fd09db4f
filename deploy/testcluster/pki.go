package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// pki is the cluster's certificates, as files in dir: one authority that vouches for the server, for
// its clients and for its front proxy. A real cluster has several authorities; a test needs to tell
// only the certificates apart.
type pki struct {
	dir       string
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
}

// frontProxyName is whom an aggregated API server may believe when it says who the caller is.
const frontProxyName = "front-proxy-client"

func newPKI(dir string) (*pki, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	authority, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "testcluster"}, key)
	if err != nil {
		return nil, err
	}
	p := &pki{dir: dir, authority: authority, key: key}
	if err := p.write("ca", authority.Raw, key); err != nil {
		return nil, err
	}
	for _, leaf := range []struct {
		file    string
		subject pkix.Name
		usage   x509.ExtKeyUsage
	}{
		{"apiserver", pkix.Name{CommonName: "kube-apiserver"}, x509.ExtKeyUsageServerAuth},
		// system:masters may do everything, whatever RBAC says.
		{"admin", pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, x509.ExtKeyUsageClientAuth},
		{"front-proxy", pkix.Name{CommonName: frontProxyName}, x509.ExtKeyUsageClientAuth},
		// Only its key is used: it signs the tokens of ServiceAccounts.
		{"service-account", pkix.Name{CommonName: "service-account"}, x509.ExtKeyUsageClientAuth},
	} {
		if err := p.issue(leaf.file, leaf.subject, leaf.usage); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func (p *pki) issue(file string, subject pkix.Name, usage x509.ExtKeyUsage) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    p.authority.NotBefore,
		NotAfter:     time.Now().Add(7 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{usage},
	}
	if usage == x509.ExtKeyUsageServerAuth {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		template.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.authority, key.Public(), p.key)
	if err != nil {
		return err
	}
	return p.write(file, der, key)
}

func (p *pki) write(file string, der []byte, key *ecdsa.PrivateKey) error {
	block := pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der})
	if err := cert.WriteCert(p.crt(file), block); err != nil {
		return err
	}
	encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return keyutil.WriteKey(p.keyFile(file), encoded)
}

func (p *pki) crt(file string) string     { return filepath.Join(p.dir, file+".crt") }
func (p *pki) keyFile(file string) string { return filepath.Join(p.dir, file+".key") }

// apiserverFlags tell kube-apiserver where the files are and what each is for.
func (p *pki) apiserverFlags() []string {
	return []string{
		"--tls-cert-file=" + p.crt("apiserver"),
		"--tls-private-key-file=" + p.keyFile("apiserver"),
		"--client-ca-file=" + p.crt("ca"),
		"--requestheader-client-ca-file=" + p.crt("ca"),
		"--requestheader-allowed-names=" + frontProxyName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + p.crt("front-proxy"),
		"--proxy-client-key-file=" + p.keyFile("front-proxy"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + p.keyFile("service-account"),
		"--service-account-signing-key-file=" + p.keyFile("service-account"),
	}
}

// adminConfig is the administrator's way to the API server at address.
func (p *pki) adminConfig(address string) *rest.Config {
	return &rest.Config{
		Host: address,
		TLSClientConfig: rest.TLSClientConfig{
			CAFile:   p.crt("ca"),
			CertFile: p.crt("admin"),
			KeyFile:  p.keyFile("admin"),
		},
	}
}

// writeKubeconfig writes the same for kubectl and other clients, and returns its path.
func (p *pki) writeKubeconfig(dir, address string) (string, error) {
	const name = "testcluster"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: address, CertificateAuthority: p.crt("ca")}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{
		ClientCertificate: p.crt("admin"),
		ClientKey:         p.keyFile("admin"),
	}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: "admin"}
	config.CurrentContext = name
	path := filepath.Join(dir, "kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}
