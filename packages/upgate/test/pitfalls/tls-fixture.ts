// A self-signed certificate for loopback in tests; the key protects nothing.
export const certificate: { readonly key: string; readonly cert: string } = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGleUJt51NRytWF9d
PbOGEpi4PSFyFggfskyDV+DPToChRANCAAQfmjXptAbk0YeTdRDRy6waWGt1raZZ
mBz4bpfdDu7Ave0/eqWJZAZ9BYHkgQ/75pchT5sU+7wlZdWEelb2qgPL
-----END PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUJilVs5pABha23j32miJnDfIHE98wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTAzMzUxNVoYDzIxMjYxMDI4
MDMzNTE1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQfmjXptAbk0YeTdRDRy6waWGt1raZZmBz4bpfdDu7Ave0/eqWJZAZ9
BYHkgQ/75pchT5sU+7wlZdWEelb2qgPLo1MwUTAdBgNVHQ4EFgQUbCFgmD3cFsbe
KEQlH9AyMGgIMygwHwYDVR0jBBgwFoAUbCFgmD3cFsbeKEQlH9AyMGgIMygwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAljhykIW6IgcnUc/8nWtC
q5RbJX/IFpL2U4yRsyI1feMCICEYrYLMrHOauNUwZWnCWgcRMIcQcek6PvRIgU6p
CpxT
-----END CERTIFICATE-----
`,
}
